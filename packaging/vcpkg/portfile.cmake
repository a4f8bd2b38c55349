# SPDX-License-Identifier: Apache-2.0
vcpkg_download_distfile(archive
	URLS "https://example.org/filch/filch-${VERSION}.tar.gz"
	FILENAME "filch-${VERSION}.tar.gz"
	SHA512 @SHA512@)
vcpkg_extract_source_archive(SOURCE_PATH ARCHIVE "${archive}")
vcpkg_check_features(OUT_FEATURE_OPTIONS options FEATURES tools FILCH_BUILD_TOOLS)

# vcpkg has no Concurrency Kit, so the atomics are the compiler's.
vcpkg_cmake_configure(SOURCE_PATH "${SOURCE_PATH}" OPTIONS -DFILCH_ATOMICS_C11=ON -DFILCH_INSTALL=ON ${options})
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/filch)
vcpkg_fixup_pkgconfig()
if("tools" IN_LIST FEATURES)
	file(GLOB tools RELATIVE "${CURRENT_PACKAGES_DIR}/bin" "${CURRENT_PACKAGES_DIR}/bin/filch-*")
	vcpkg_copy_tools(TOOL_NAMES ${tools} AUTO_CLEAN)
endif()

# Both forms are made always; a triplet has one.
if(VCPKG_LIBRARY_LINKAGE STREQUAL "static")
	file(GLOB others "${CURRENT_PACKAGES_DIR}/lib/*.so*" "${CURRENT_PACKAGES_DIR}/debug/lib/*.so*")
else()
	file(GLOB others "${CURRENT_PACKAGES_DIR}/lib/*.a" "${CURRENT_PACKAGES_DIR}/debug/lib/*.a")
endif()
file(REMOVE ${others})
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include" "${CURRENT_PACKAGES_DIR}/debug/share")
file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
