/* sum.c - what binds the pages of a commit together; see sum.h. */
#include "store/sum.h"

#include "base/hex.h"
#include "base/record.h"

#define DIGITS 16

void tide__sum_encode(const tide__sum *sum, char out[TIDE__SUM_LENGTH])
{
    tide__hex_put(sum->number, out, DIGITS);
    out[DIGITS] = '|';
    tide__hex_put(sum->checks, out + DIGITS + 1, DIGITS);
}

bool tide__sum_decode(const void *bytes, size_t length, tide__sum *out)
{
    const char *text = bytes;
    return length == TIDE__SUM_LENGTH && text[DIGITS] == '|' &&
           tide__hex_get(text, DIGITS, &out->number) &&
           tide__hex_get(text + DIGITS + 1, DIGITS, &out->checks);
}

bool tide__sum_is_of(const tide__sum *sum, uint64_t commit)
{
    return sum->number >= commit;
}

/* A record that does not hold adds nothing: whoever looks for damage finds it by itself. */
static int count(const tide__environment *environment, MDB_txn *txn, uint64_t *checks)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    int rc = mdb_cursor_open(txn, environment->marks, &cursor);
    *checks = 0;
    while (rc == 0 && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        if (tide__record_holds(key.mv_data, key.mv_size, value.mv_data, value.mv_size)) {
            *checks += tide__record_check(value.mv_data, value.mv_size);
        }
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int tide__sum_write(const tide__environment *environment, MDB_txn *txn, uint64_t growth,
                    bool recount, tide__detail *detail)
{
    char name[] = TIDE__SUM_NAME;
    char text[TIDE__SUM_LENGTH];
    MDB_val key = {sizeof name - 1, name};
    MDB_val value;
    tide__sum sum = {0, 0};
    int rc = mdb_get(txn, environment->main, &key, &value);
    if (rc == 0 && !tide__sum_decode(value.mv_data, value.mv_size, &sum)) {
        return tide__fail(detail, TIDE_ECORRUPT, "%s: a damaged sum of the marks",
                          environment->path);
    }
    if (rc == 0 && !tide__sum_is_of(&sum, mdb_txn_id(txn) - 1)) {
        return tide__fail(detail, TIDE_ECORRUPT, "%s: the sum of the marks is not of commit %zu",
                          environment->path, mdb_txn_id(txn) - 1);
    }
    sum.checks += growth;
    if (rc == MDB_NOTFOUND || (rc == 0 && recount)) {
        rc = count(environment, txn, &sum.checks);
    }
    if (rc == 0) {
        sum.number = mdb_txn_id(txn);
        tide__sum_encode(&sum, text);
        value = (MDB_val){sizeof text, text};
        rc = mdb_put(txn, environment->main, &key, &value, 0);
    }
    return rc == 0 ? TIDE_OK : tide__fail_lmdb(detail, rc, environment->path);
}
