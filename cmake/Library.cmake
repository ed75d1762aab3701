# tidemark_library: a shared and a static library from one list.
#
#   tidemark_library(tidemark
#       OUTPUT_NAME tidemark          lib<OUTPUT_NAME>.so, lib<OUTPUT_NAME>.a
#       EXPORT_NAME tidemark          tidemark::<EXPORT_NAME>, tidemark::<EXPORT_NAME>_static
#       SOURCES ...                   compiled once, for both
#       SHARED_OBJECTS ...            object libraries that only the shared library takes in
#       STATIC_OBJECTS ...            likewise the static one
#       HEADERS ...                   public headers, below include/
#       PUBLIC ...                    libraries of this project, by name: the static one links NAME_static
#       PRIVATE ...)                  libraries of others
function(tidemark_library name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "OUTPUT_NAME;EXPORT_NAME"
        "SOURCES;SHARED_OBJECTS;STATIC_OBJECTS;HEADERS;PUBLIC;PRIVATE")

    add_library(${name}_objects OBJECT ${arg_SOURCES})
    tidemark_compile_settings(${name}_objects)
    set_target_properties(${name}_objects PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_include_directories(${name}_objects PRIVATE
        "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/include")
    target_link_libraries(${name}_objects PRIVATE ${arg_PRIVATE})

    add_library(${name} SHARED $<TARGET_OBJECTS:${name}_objects>)
    add_library(${name}_static STATIC $<TARGET_OBJECTS:${name}_objects>)
    foreach(objects IN LISTS arg_SHARED_OBJECTS)
        target_sources(${name} PRIVATE $<TARGET_OBJECTS:${objects}>)
    endforeach()
    foreach(objects IN LISTS arg_STATIC_OBJECTS)
        target_sources(${name}_static PRIVATE $<TARGET_OBJECTS:${objects}>)
    endforeach()

    set_target_properties(${name} ${name}_static PROPERTIES
        OUTPUT_NAME ${arg_OUTPUT_NAME}
        LINKER_LANGUAGE C)
    set_target_properties(${name} PROPERTIES
        EXPORT_NAME ${arg_EXPORT_NAME}
        VERSION ${PROJECT_VERSION}
        SOVERSION ${PROJECT_VERSION_MAJOR}
        INSTALL_RPATH "$ORIGIN")
    set_target_properties(${name}_static PROPERTIES EXPORT_NAME ${arg_EXPORT_NAME}_static)
    add_library(tidemark::${arg_EXPORT_NAME} ALIAS ${name})
    add_library(tidemark::${arg_EXPORT_NAME}_static ALIAS ${name}_static)

    set(map "${PROJECT_SOURCE_DIR}/cmake/lib${arg_OUTPUT_NAME}.map")
    target_link_options(${name} PRIVATE "LINKER:--version-script=${map}")
    set_target_properties(${name} PROPERTIES LINK_DEPENDS "${map}")
    if(NOT TIDEMARK_SANITIZED) # clang leaves the symbols of its sanitizers to the program
        target_link_options(${name} PRIVATE LINKER:-z,defs)
    endif()

    target_sources(${name} PUBLIC
        FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}/include" FILES ${arg_HEADERS})
    set_target_properties(${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
    target_include_directories(${name}_static INTERFACE
        "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>"
        "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")

    # uuid_t is part of the interface: who has one wants libuuid too.
    target_link_libraries(${name}
        PRIVATE ${arg_PRIVATE} PUBLIC ${arg_PUBLIC} LibUUID::LibUUID)
    list(TRANSFORM arg_PUBLIC APPEND _static)
    target_link_libraries(${name}_static
        PRIVATE ${arg_PRIVATE} PUBLIC ${arg_PUBLIC} LibUUID::LibUUID)
endfunction()
