/* engines.h - what the implementations of engine.h share. */
#ifndef TIDEMARK_BENCH_ENGINES_H
#define TIDEMARK_BENCH_ENGINES_H

#include "engine.h"

#define BENCH_PATH 4096
#define KEY_TEXT 128  /* "device|peer|resource" and its NUL */
#define VALUE_TEXT 71 /* "watermark|updated_at||check" as Tidemark's, so that files compare */

/* Zeroed memory; ends the program when there is none. */
void *bench_alloc(size_t bytes);

/* The text forms for stores of bytes. The key's length is returned; the value's check is not
 * computed. */
size_t key_text(const mark_id *id, char text[KEY_TEXT]);
void value_text(tide_time upto, tide_time updated_at, char text[VALUE_TEXT]);

/* The reverse; false: not such a text. */
bool key_parse(const char *text, size_t length, uuid_t peer, char resource[32]);
tide_time value_time(const char *text, size_t length);

/* The system's clock, for updated_at. */
tide_time wall_clock(void);

extern const engine_type engine_tidemark;
extern const engine_type engine_lmdb;
extern const engine_type engine_sqlite_best;
extern const engine_type engine_sqlite_queue; /* in case_threads only */
extern const engine_type engine_sqlite_plan;
extern const engine_type engine_rocksdb;
extern const engine_type engine_leveldb;

extern const char *const bench_sql[]; /* the statements of both SQLite engines; ends with NULL */

#endif
