# What every target of this project is compiled with: the dialect, the private include root, warnings.
set(TIDEMARK_WARNINGS
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes
    -Wmissing-prototypes -Wold-style-definition -Wcast-qual -Wpointer-arith -Wwrite-strings -Wundef
    -Wvla -Wformat=2 -Wnull-dereference -Wimplicit-fallthrough -Wdouble-promotion -Wswitch-enum)

if(CMAKE_C_FLAGS MATCHES "-fsanitize")
    set(TIDEMARK_SANITIZED ON)
    # gcc's analysis of null pointers is confused by the code the sanitizers insert.
    list(REMOVE_ITEM TIDEMARK_WARNINGS -Wnull-dereference)
else()
    set(TIDEMARK_SANITIZED OFF)
endif()

function(tidemark_compile_settings target)
    set_target_properties(${target} PROPERTIES
        C_STANDARD 11
        C_STANDARD_REQUIRED ON
        C_EXTENSIONS OFF
        C_VISIBILITY_PRESET hidden)
    target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
    if(CMAKE_C_COMPILER_ID MATCHES "GNU|Clang")
        target_compile_options(${target} PRIVATE ${TIDEMARK_WARNINGS})
    endif()
    if(TIDEMARK_WARNINGS_AS_ERRORS)
        set_target_properties(${target} PROPERTIES COMPILE_WARNING_AS_ERROR ON)
    endif()
endfunction()
