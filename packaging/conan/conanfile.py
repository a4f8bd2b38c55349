# SPDX-License-Identifier: Apache-2.0
"""filch for projects of Conan 2."""
import os

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy, get, rm, rmdir
from conan.tools.gnu import PkgConfigDeps

required_conan_version = ">=2.0"


class FilchConan(ConanFile):
    name = "filch"
    version = "0.1.0"
    description = "Lock-free work-stealing scheduler for one machine"
    license = "Apache-2.0"
    topics = ("scheduler", "work-stealing", "thread-pool", "parallel")
    homepage = "https://example.org/filch"
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False]}
    default_options = {"shared": True}

    def configure(self):
        # the library is C
        self.settings.rm_safe("compiler.cppstd")
        self.settings.rm_safe("compiler.libcxx")

    def layout(self):
        cmake_layout(self, src_folder="src")

    def requirements(self):
        # Conan has no Concurrency Kit, so the atomics are the compiler's
        self.requires("hwloc/[>=2.9 <3]")

    def validate(self):
        if self.settings.os != "Linux":
            raise ConanInvalidConfiguration("filch is for Linux")

    def source(self):
        get(self, **self.conan_data["sources"][self.version], strip_root=True)

    def generate(self):
        PkgConfigDeps(self).generate()
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["FILCH_ATOMICS_C11"] = True
        toolchain.cache_variables["FILCH_BUILD_TOOLS"] = False
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        cmake = CMake(self)
        cmake.install()
        lib = os.path.join(self.package_folder, "lib")
        # both forms are made always; a package has one, and Conan writes the files for CMake and pkg-config
        rm(self, "*.a" if self.options.shared else "*.so*", lib)
        rmdir(self, os.path.join(lib, "cmake"))
        rmdir(self, os.path.join(lib, "pkgconfig"))

    def package_info(self):
        self.cpp_info.libs = ["filch"]
        self.cpp_info.system_libs = ["pthread"]
        self.cpp_info.set_property("cmake_file_name", "filch")
        self.cpp_info.set_property("cmake_target_name", "filch::filch")
        self.cpp_info.set_property("pkg_config_name", "filch")
