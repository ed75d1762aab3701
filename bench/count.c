/* count.c - tidemark-count CASE N: does one thing N times and nothing else, for counting instructions.
 *
 * The difference between N and 0 is the price of N. scripts/check-instructions holds it against a
 * baseline.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tidemark/store.h>

#define MARKS 240
#define RESOURCES 12

static const char *const resources[RESOURCES] = {"audit_log", "collection", "content",   "device",
                                                 "entry",     "location",   "sidecar",   "space",
                                                 "tag",       "tag_rel",    "user_meta", "volume"};

static uuid_t device;
static uuid_t peers[MARKS / RESOURCES];

static int advance(tide_store *store, long n)
{
    return tide_advance(store, device, peers[n % MARKS / RESOURCES], resources[n % RESOURCES],
                        n + 1);
}

static int run_store(const char *what, long times)
{
    char folder[] = "tidemark-count.XXXXXX";
    char path[64];
    tide_store *store = NULL;
    tide_options options;
    tide_mark mark;
    tide_options_init(&options);
    options.durability = TIDE_DEFERRED;
    if (mkdtemp(folder) == NULL) {
        return 3;
    }
    (void)snprintf(path, sizeof path, "%s/count.mdb", folder);
    int rc = tide_open(path, &options, &store);
    for (long n = 0; rc == TIDE_OK && n < 3L * MARKS; n++) { /* all in memory */
        rc = advance(store, n);
    }
    for (long n = 3L * MARKS; rc == TIDE_OK && n < 3L * MARKS + times; n++) {
        rc = strcmp(what, "advance") == 0 ? advance(store, n)
                                          : tide_get(store, device, peers[n % MARKS / RESOURCES],
                                                     resources[n % RESOURCES], &mark);
    }
    tide_close(store);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/count.mdb-lock", folder);
    (void)unlink(path);
    (void)rmdir(folder);
    return rc == TIDE_OK ? 0 : 3;
}

static int run_times(const char *what, long times)
{
    char text[TIDE_TIME_TEXT] = "2026-01-01T00:00:00.000000000Z";
    tide_time time = 0;
    int rc = TIDE_OK;
    for (long n = 0; rc == TIDE_OK && n < times; n++) {
        if (strcmp(what, "format") == 0) {
            tide_time_format(n * INT64_C(1000000007), text);
        } else {
            rc = tide_time_parse(text, TIDE_TIME_TEXT - 1, &time);
        }
    }
    return rc == TIDE_OK ? 0 : 3;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        (void)fputs("usage: tidemark-count get|advance|format|parse N\n", stderr);
        return 2;
    }
    long times = strtol(argv[2], NULL, 10);
    memset(device, 1, sizeof device);
    for (size_t i = 0; i < sizeof peers / sizeof *peers; i++) {
        memset(peers[i], (int)(17 * i + 3), sizeof peers[i]);
    }
    bool of_store = strcmp(argv[1], "get") == 0 || strcmp(argv[1], "advance") == 0;
    return of_store ? run_store(argv[1], times) : run_times(argv[1], times);
}
