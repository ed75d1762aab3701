/* info.c - what there is in a file, for tide_stat. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/environment.h"

/* Pages on the free list: each of its records begins with a count. */
static int count_free(MDB_txn *txn, uint64_t *pages)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    int rc = mdb_cursor_open(txn, 0, &cursor);
    if (rc != 0) {
        return rc;
    }
    *pages = 0;
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        size_t count = 0;
        if (value.mv_size >= sizeof count) {
            memcpy(&count, value.mv_data, sizeof count);
        }
        *pages += count;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int count_reader(const char *line, void *ctx)
{
    if (strtol(line, NULL, 10) > 0) {
        ++*(uint32_t *)ctx;
    }
    return 0;
}

int tide__environment_stat(tide__environment *environment, tide_info *info, tide__detail *detail)
{
    MDB_txn *txn = NULL;
    MDB_stat tree;
    MDB_envinfo map;
    struct stat st;
    uint64_t free_pages = 0;
    int rc = tide__read_begin(environment, &txn, detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    int native = mdb_stat(txn, environment->marks, &tree);
    if (native == 0) {
        native = mdb_env_info(environment->mdb, &map);
    }
    if (native == 0) {
        native = count_free(txn, &free_pages);
    }
    if (native == 0 && fstat(environment->fd, &st) != 0) {
        native = errno;
    }
    if (native != 0) {
        tide__read_end(environment, txn);
        return tide__fail_lmdb(detail, native, environment->path);
    }
    info->format_version = 1;
    info->marks = tree.ms_entries;
    info->file_bytes = (uint64_t)st.st_size;
    info->used_bytes = ((uint64_t)map.me_last_pgno + 1 - free_pages) * tree.ms_psize;
    info->map_bytes = environment->map_bytes;
    info->transaction = map.me_last_txnid;
    info->page_bytes = tree.ms_psize;
    info->depth = tree.ms_depth;
    info->max_readers = map.me_maxreaders;
    info->readers = 0;
    (void)mdb_reader_list(environment->mdb, count_reader, &info->readers);
    info->created_at = environment->created_at;
    memcpy(info->store_id, environment->store_id, sizeof info->store_id);
    tide__read_end(environment, txn);
    return TIDE_OK;
}
