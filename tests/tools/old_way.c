/* old_way.c - tidemark-old-way FROM TO MARK [--cut-after ROWS]: the same sync over one global
 * watermark.
 *
 * Library TO follows FROM with the real engine, but its marks are the single one in the file MARK.
 * FROM only serves. Exit 0: the session ended by itself, 1: cut, 3: an error. This is the bug that
 * per-resource marks exist for; see global_mark.h for how fair it is.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tidemark/tidemark.h>

#include "tools/global_mark.h"

typedef struct follower {
    tide_pipe *pipe;
    uint64_t rows;
    uint64_t cut_after; /* 0: never */
} follower;

static void count_rows(void *ctx, const tide_event *event)
{
    follower *f = ctx;
    if (event->kind == TIDE_EVENT_RESOURCE_CHANGED) {
        f->rows += event->count;
        if (f->cut_after > 0 && f->rows >= f->cut_after) {
            tide_pipe_cut(f->pipe);
        }
    }
}

static int run(follower *f, tide_library *from, tide_library *to, tide_watermarks *marks)
{
    tide_session *server = NULL;
    tide_session *client = NULL;
    tide_session_options options;
    tide_session_options_init(&options);
    options.prove = 0; /* digests would find the rows that are lost */
    int rc = tide_sync_attach(tide_library_sync(to), marks);
    if (rc == TIDE_OK) {
        rc = tide_session_open(tide_library_sync(from), NULL, &server);
    }
    if (rc == TIDE_OK) {
        tide_session_pause(server); /* it answers, and asks for nothing */
        rc = tide_session_open(tide_library_sync(to), &options, &client);
    }
    if (rc == TIDE_OK) {
        rc = tide_pipe_open(server, NULL, &f->pipe);
    }
    if (rc == TIDE_OK) {
        rc = tide_sync_backfill_all_state(client, tide_pipe_transport(f->pipe));
    }
    tide_pipe_close(f->pipe);
    tide_session_close(client);
    tide_session_close(server);
    return rc;
}

static int follow(const char *from_path, const char *to_path, const char *mark_path, follower *f)
{
    char detail[256] = "";
    tide_library *from = NULL;
    tide_library *to = NULL;
    tide_watermarks *marks = NULL;
    tide_library_options options;
    tide_sync_options sync;
    uuid_t device;
    tide_library_options_init(&options);
    tide_sync_options_init(&sync);
    sync.detail = detail;
    sync.detail_bytes = sizeof detail;
    sync.event = count_rows;
    sync.event_ctx = f;
    options.sync = &sync;
    int rc = tide_library_open(from_path, NULL, &from);
    if (rc == TIDE_OK) {
        rc = tide_library_open(to_path, &options, &to);
    }
    if (rc == TIDE_OK) {
        tide_sync_device(tide_library_sync(to), device);
        rc = global_mark_open(mark_path, device, tide_library_sync(from), &marks);
    }
    if (rc == TIDE_OK) {
        rc = run(f, from, to, marks);
    }
    tide_library_close(to);
    tide_library_close(from);
    tide_watermarks_close(marks);
    if (rc != TIDE_OK && rc != TIDE_ECLOSED) {
        (void)fprintf(stderr, "tidemark-old-way: %s %s\n", tide_strerror(rc), detail);
    }
    return rc;
}

int main(int argc, char **argv)
{
    follower f = {NULL, 0, 0};
    if (argc == 6 && strcmp(argv[4], "--cut-after") == 0) {
        f.cut_after = strtoull(argv[5], NULL, 10);
    } else if (argc != 4) {
        (void)fputs("usage: tidemark-old-way FROM TO MARK [--cut-after ROWS]\n", stderr);
        return 2;
    }
    int rc = follow(argv[1], argv[2], argv[3], &f);
    if (rc != TIDE_OK && rc != TIDE_ECLOSED) {
        return 3;
    }
    (void)printf("%" PRIu64 " rows, %s\n", f.rows, rc == TIDE_OK ? "complete" : "cut");
    return rc == TIDE_OK ? 0 : 1;
}
