/* tidemark/version.h - the version of the headers, and of the library that is really loaded. */
#ifndef TIDEMARK_VERSION_H
#define TIDEMARK_VERSION_H

#define TIDE_VERSION_MAJOR 0
#define TIDE_VERSION_MINOR 1
#define TIDE_VERSION_PATCH 0
#define TIDE_VERSION_TEXT "0.1.0"

#if defined(__GNUC__) && !defined(TIDE_API)
#define TIDE_API __attribute__((visibility("default")))
#elif !defined(TIDE_API)
#define TIDE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the loaded library as "major.minor.patch": static, never NULL. Any thread. */
TIDE_API const char *tide_version(void);

#ifdef __cplusplus
}
#endif
#endif
