# What `cmake --install` puts where. Components: runtime (shared libraries), dev (headers, static libraries,
# pkg-config and CMake files), tools (the program with manual and completions), doc.
include(CMakePackageConfigHelpers)

set(TIDEMARK_CMAKE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/tidemark")

function(tidemark_install_library target export)
    install(TARGETS ${target} EXPORT ${export}Targets
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT runtime NAMELINK_COMPONENT dev
        FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT dev)
    install(TARGETS ${target}_static EXPORT ${export}StaticTargets
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT dev)
    foreach(set IN ITEMS ${export}Targets ${export}StaticTargets)
        install(EXPORT ${set} NAMESPACE tidemark:: FILE ${set}.cmake
            DESTINATION "${TIDEMARK_CMAKE_DIR}" COMPONENT dev)
    endforeach()
endfunction()

# The .pc files find their prefix from where they lie, so that an installed tree can be moved.
set(TIDEMARK_PC_LIBDIR "\${prefix}")
set(TIDEMARK_PC_INCLUDEDIR "\${prefix}")
cmake_path(APPEND TIDEMARK_PC_LIBDIR "${CMAKE_INSTALL_LIBDIR}")
cmake_path(APPEND TIDEMARK_PC_INCLUDEDIR "${CMAKE_INSTALL_INCLUDEDIR}")
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(TIDEMARK_PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
else()
    file(RELATIVE_PATH up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
    string(REGEX REPLACE "/$" "" up "${up}")
    set(TIDEMARK_PC_PREFIX "\${pcfiledir}/${up}")
endif()

function(tidemark_install_pc name)
    configure_file(cmake/${name}.pc.in ${name}.pc @ONLY)
    install(FILES "${PROJECT_BINARY_DIR}/${name}.pc"
        DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT dev)
endfunction()

tidemark_install_library(tidemark tidemark)
tidemark_install_pc(tidemark)
set(find_modules LMDB LibUUID)
if(TIDEMARK_BUILD_SYNC)
    tidemark_install_library(tidemark_sync tidemarkSync)
    set(TIDEMARK_PC_MSGPACK ${MSGPACK_MODULE_NAME})
    tidemark_install_pc(tidemark-sync)
    list(APPEND find_modules MsgpackC)
endif()

configure_package_config_file(cmake/tidemarkConfig.cmake.in tidemarkConfig.cmake
    INSTALL_DESTINATION "${TIDEMARK_CMAKE_DIR}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(tidemarkConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
    "${PROJECT_BINARY_DIR}/tidemarkConfig.cmake"
    "${PROJECT_BINARY_DIR}/tidemarkConfigVersion.cmake"
    DESTINATION "${TIDEMARK_CMAKE_DIR}" COMPONENT dev)
foreach(module IN LISTS find_modules)
    install(FILES cmake/Find${module}.cmake DESTINATION "${TIDEMARK_CMAKE_DIR}" COMPONENT dev)
endforeach()

if(TIDEMARK_BUILD_CLI)
    install(TARGETS tidemark_cli RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT tools)
    if(IS_DIRECTORY "${PROJECT_SOURCE_DIR}/docs/man")
        install(DIRECTORY docs/man/ DESTINATION "${CMAKE_INSTALL_MANDIR}/man1" COMPONENT tools
            FILES_MATCHING PATTERN "*.1")
    endif()
    # Completion files are named for their shell: tidemark.bash, _tidemark (zsh), tidemark.fish.
    set(completions "${PROJECT_SOURCE_DIR}/completions")
    if(EXISTS "${completions}/tidemark.bash")
        install(FILES completions/tidemark.bash RENAME tidemark COMPONENT tools
            DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")
    endif()
    if(EXISTS "${completions}/_tidemark")
        install(FILES completions/_tidemark COMPONENT tools
            DESTINATION "${CMAKE_INSTALL_DATADIR}/zsh/site-functions")
    endif()
    if(EXISTS "${completions}/tidemark.fish")
        install(FILES completions/tidemark.fish COMPONENT tools
            DESTINATION "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d")
    endif()
endif()

foreach(document IN ITEMS LICENSE README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md)
    if(EXISTS "${PROJECT_SOURCE_DIR}/${document}")
        install(FILES ${document} DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT doc)
    endif()
endforeach()
install(DIRECTORY docs/ DESTINATION "${CMAKE_INSTALL_DOCDIR}/docs" COMPONENT doc
    FILES_MATCHING PATTERN "*.md" PATTERN man EXCLUDE)
