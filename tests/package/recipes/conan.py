# SPDX-License-Identifier: Apache-2.0
"""Stands in for conan(1), which is no package of Debian's: runs a recipe's steps in their order, with
what it imports doing its work for one configuration. hwloc is the system's.

usage: conan.py RECIPE_DIRECTORY ARCHIVE WORK_DIRECTORY SHARED
Prints what programs are to be linked with.
"""
import fnmatch
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import types

RECIPE, ARCHIVE, WORK, SHARED = sys.argv[1:]


class Settings:
    os, arch, compiler, build_type = "Linux", "x86_64", "gcc", "Debug"

    def rm_safe(self, name):
        assert name in ("compiler.cppstd", "compiler.libcxx"), name


class CppInfo:
    def __init__(self):
        self.libs, self.system_libs, self.properties = [], [], {}

    def set_property(self, name, value):
        assert name in ("cmake_file_name", "cmake_target_name", "pkg_config_name"), name
        self.properties[name] = value


class ConanFile:
    def __init__(self):
        self.settings = Settings()
        self.options = types.SimpleNamespace(shared=SHARED == "True")
        assert self.options.shared in self.__class__.options["shared"]
        self.cpp_info = CppInfo()
        self.package_folder = os.path.join(WORK, "shared-" + SHARED)
        self.required = []
        with open(os.path.join(RECIPE, "conandata.yml"), encoding="utf-8") as file:
            text = file.read()
        found = re.fullmatch(r'sources:\n  "([^"]+)":\n    url: "([^"]+)"\n    sha256: "([0-9a-f]{64})"\n', text)
        self.conan_data = {"sources": {found[1]: {"url": found[2], "sha256": found[3]}}}

    def requires(self, reference):
        self.required.append(reference)


def cmake_layout(recipe, src_folder):
    recipe.source_folder = os.path.join(WORK, src_folder)
    recipe.build_folder = os.path.join(WORK, "build")


def get(recipe, url, sha256, strip_root):
    with open(ARCHIVE, "rb") as file:
        assert hashlib.sha256(file.read()).hexdigest() == sha256, "another archive"
    assert os.path.basename(url) == os.path.basename(ARCHIVE), url
    if os.path.exists(recipe.source_folder):
        return  # of the other option, which builds the same
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(WORK)
    assert strip_root
    shutil.move(os.path.join(WORK, os.path.basename(ARCHIVE).replace(".tar.gz", "")), recipe.source_folder)


class CMakeToolchain:
    def __init__(self, recipe):
        self.recipe, self.cache_variables = recipe, {}

    def generate(self):
        self.recipe.cache = [f"-D{name}={'ON' if value else 'OFF'}" for name, value in self.cache_variables.items()]


class CMake:
    def __init__(self, recipe):
        self.recipe = recipe

    def run(self, *command):
        subprocess.run(("cmake",) + command, check=True, stdout=subprocess.DEVNULL)

    def configure(self):
        self.run("-S", self.recipe.source_folder, "-B", self.recipe.build_folder, "-DCMAKE_BUILD_TYPE=Debug",
            "-DCMAKE_INSTALL_LIBDIR=lib", "-DCMAKE_INSTALL_PREFIX=" + self.recipe.package_folder, *self.recipe.cache)

    def build(self):
        self.run("--build", self.recipe.build_folder, "--parallel")

    def install(self):
        self.run("--install", self.recipe.build_folder)


class PkgConfigDeps:
    def __init__(self, recipe):
        assert any(reference.startswith("hwloc/") for reference in recipe.required)

    def generate(self):
        pass


def copy(_, pattern, source, to):
    os.makedirs(to)
    shutil.copy(os.path.join(source, pattern), to)


def rm(_, pattern, directory):
    for name in fnmatch.filter(os.listdir(directory), pattern):
        os.remove(os.path.join(directory, name))


def rmdir(_, path):
    shutil.rmtree(path)


def module(name, **content):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__dict__.update(content)


module("conan", ConanFile=ConanFile)
module("conan.errors", ConanInvalidConfiguration=ValueError)
module("conan.tools")
module("conan.tools.cmake", CMake=CMake, CMakeToolchain=CMakeToolchain, cmake_layout=cmake_layout)
module("conan.tools.files", copy=copy, get=get, rm=rm, rmdir=rmdir)
module("conan.tools.gnu", PkgConfigDeps=PkgConfigDeps)

os.makedirs(WORK, exist_ok=True)
spec = importlib.util.spec_from_file_location("recipe", os.path.join(RECIPE, "conanfile.py"))
loaded = importlib.util.module_from_spec(spec)
spec.loader.exec_module(loaded)
recipe = loaded.FilchConan()
assert list(recipe.conan_data["sources"]) == [recipe.version]
for step in ("configure", "layout", "requirements", "validate", "source", "generate", "build", "package", "package_info"):
    getattr(recipe, step)()
assert recipe.cpp_info.properties["cmake_target_name"] == "filch::filch"
print(" ".join([f"-I{recipe.package_folder}/include", f"-L{recipe.package_folder}/lib"]
    + ["-l" + name for name in recipe.cpp_info.libs + recipe.cpp_info.system_libs]))
