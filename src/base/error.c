/* error.c - the sentences of the codes, from the one list in tidemark/error.h. */
#include <tidemark/error.h>
#include <tidemark/version.h>

const char *tide_version(void)
{
    return TIDE_VERSION_TEXT;
}

const char *tide_strerror(int code)
{
    switch (code) {
#define SENTENCE(name, value, sentence)                                                            \
    case name:                                                                                     \
        return sentence;
        TIDE_CODES(SENTENCE)
#undef SENTENCE
    default:
        return "unknown code";
    }
}

const char *tide_code_name(int code)
{
    switch (code) {
#define NAME(name, value, sentence)                                                                \
    case name:                                                                                     \
        return #name;
        TIDE_CODES(NAME)
#undef NAME
    default:
        return "TIDE_?";
    }
}
