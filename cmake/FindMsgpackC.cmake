# Finds msgpack-c. Its own package, its library and its pkg-config module have changed their names from
# one version to the next (msgpack, msgpackc, msgpack-c). Defines MsgpackC::MsgpackC.
find_path(MsgpackC_INCLUDE_DIR msgpack.h)
find_library(MsgpackC_LIBRARY NAMES msgpack-c msgpackc)
mark_as_advanced(MsgpackC_INCLUDE_DIR MsgpackC_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(MsgpackC REQUIRED_VARS MsgpackC_LIBRARY MsgpackC_INCLUDE_DIR)

if(MsgpackC_FOUND AND NOT TARGET MsgpackC::MsgpackC)
    add_library(MsgpackC::MsgpackC UNKNOWN IMPORTED)
    set_target_properties(MsgpackC::MsgpackC PROPERTIES
        IMPORTED_LOCATION "${MsgpackC_LIBRARY}"
        INTERFACE_INCLUDE_DIRECTORIES "${MsgpackC_INCLUDE_DIR}")
endif()
