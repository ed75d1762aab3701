/* support_sync.c - see support_sync.h. */
#include "sync/support_sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/watermarks.h"
#include "base/rules.h"

#define LIBRARY 1000000
#define TALK_MAX 10000

/* ---- time --------------------------------------------------------------------------------------- */

int64_t test_now_ms = TEST_START_MS;

static int current_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *out)
{
    (void)vfs;
    *out = INT64_C(210866760000000) + test_now_ms; /* 1970 as a Julian day, in milliseconds */
    return SQLITE_OK;
}

static int current_time(sqlite3_vfs *vfs, double *out)
{
    sqlite3_int64 ms = 0;

    (void)current_time_ms(vfs, &ms);
    *out = (double)ms / 86400000.0;
    return SQLITE_OK;
}

void test_clock_install(void)
{
    static sqlite3_vfs shim;

    test_now_ms = TEST_START_MS;
    if (shim.zName != NULL)
        return;
    shim = *sqlite3_vfs_find(NULL);
    shim.zName = "test-clock";
    shim.pNext = NULL;
    shim.xCurrentTime = current_time;
    shim.xCurrentTimeInt64 = current_time_ms;
    ck_assert_int_eq(sqlite3_vfs_register(&shim, 1), SQLITE_OK);
}

/* ---- SQL ---------------------------------------------------------------------------------------- */

sqlite3 *test_connect(const char *path)
{
    sqlite3 *db = NULL;

    ck_assert_int_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL),
                     SQLITE_OK);
    sqlite3_extended_result_codes(db, 1);
    test_sql(db, "PRAGMA synchronous = OFF");
    return db;
}

int test_sql_code(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

void test_sql(sqlite3 *db, const char *format, ...)
{
    va_list arguments;
    char *sql;
    int rc;

    va_start(arguments, format);
    sql = sqlite3_vmprintf(format, arguments);
    va_end(arguments);
    rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        ck_abort_msg("%.100s: %s", sql, sqlite3_errmsg(db));
    sqlite3_free(sql);
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *format, va_list arguments)
{
    char *sql = sqlite3_vmprintf(format, arguments);
    sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        ck_abort_msg("%.100s: %s", sql, sqlite3_errmsg(db));
    sqlite3_free(sql);
    return statement;
}

int64_t test_number(sqlite3 *db, const char *format, ...)
{
    va_list arguments;
    sqlite3_stmt *statement;
    int64_t number;

    va_start(arguments, format);
    statement = prepare(db, format, arguments);
    va_end(arguments);
    test_require(sqlite3_step(statement) == SQLITE_ROW);
    number = sqlite3_column_int64(statement, 0);
    test_require(sqlite3_finalize(statement) == SQLITE_OK);
    return number;
}

static char *text_of(sqlite3 *db, const char *format, va_list arguments)
{
    sqlite3_stmt *statement = prepare(db, format, arguments);
    sqlite3_str *text = sqlite3_str_new(NULL);
    char *result;
    char *copy;
    int rc;

    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        if (sqlite3_str_length(text) > 0)
            sqlite3_str_appendchar(text, 1, '|');
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            const unsigned char *blob;

            if (i > 0)
                sqlite3_str_appendchar(text, 1, ' ');
            switch (sqlite3_column_type(statement, i)) {
            case SQLITE_NULL:
                sqlite3_str_appendchar(text, 1, '-');
                break;
            case SQLITE_BLOB:
                blob = sqlite3_column_blob(statement, i);
                for (int j = 0; j < sqlite3_column_bytes(statement, i); j++)
                    sqlite3_str_appendf(text, "%02x", blob[j]);
                break;
            default:
                sqlite3_str_appendf(text, "%s", sqlite3_column_text(statement, i));
            }
        }
    }
    if (rc != SQLITE_DONE)
        ck_abort_msg("%s: %s", sqlite3_sql(statement), sqlite3_errmsg(db));
    test_require(sqlite3_finalize(statement) == SQLITE_OK);
    result = sqlite3_str_finish(text);
    copy = strdup(result == NULL ? "" : result);
    sqlite3_free(result);
    return copy;
}

char *test_text(sqlite3 *db, const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = text_of(db, format, arguments);
    va_end(arguments);
    return text;
}

void test_text_is(sqlite3 *db, const char *expected, const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = text_of(db, format, arguments);
    va_end(arguments);
    ck_assert_str_eq(text, expected);
    free(text);
}

/* ---- marks in memory ---------------------------------------------------------------------------- */

#define MARKS_MAX 512

typedef struct entry {
    uuid_t owner, about;
    char resource[TIDE_MODEL_NAME_MAX + 1];
    tide_mark mark;
} entry;

struct test_marks {
    tide_watermarks base; /* first */
    entry entries[MARKS_MAX];
    size_t count;
    int code[TEST_MARKS_CALLS];
    unsigned after[TEST_MARKS_CALLS];
    void (*before)(void *ctx);
    void *before_ctx;
};

static test_marks *of(tide_watermarks *marks)
{
    return (test_marks *)marks;
}

static entry *find(test_marks *marks, const uuid_t owner, const uuid_t about, const char *resource)
{
    for (size_t i = 0; i < marks->count; i++) {
        entry *e = &marks->entries[i];

        if (uuid_compare(e->owner, owner) == 0 && uuid_compare(e->about, about) == 0 &&
            strcmp(e->resource, resource) == 0)
            return e;
    }
    return NULL;
}

static entry *add(test_marks *marks, const uuid_t owner, const uuid_t about, const char *resource)
{
    entry *e = find(marks, owner, about, resource);

    if (e == NULL) {
        test_require(marks->count < MARKS_MAX && strlen(resource) <= TIDE_MODEL_NAME_MAX);
        e = &marks->entries[marks->count++];
        uuid_copy(e->owner, owner);
        uuid_copy(e->about, about);
        memcpy(e->resource, resource, strlen(resource) + 1);
        e->mark = TIDE__NO_MARK;
    }
    return e;
}

static void drop(test_marks *marks, entry *e)
{
    if (e != NULL)
        *e = marks->entries[--marks->count];
}

static int failing(test_marks *marks, int call)
{
    if (marks->code[call] == TIDE_OK)
        return TIDE_OK;
    if (marks->after[call] > 0) {
        marks->after[call]--;
        return TIDE_OK;
    }
    return marks->code[call];
}

static void marks_close(tide_watermarks *marks)
{
    (void)marks;
}

static int marks_get(tide_watermarks *base, const uuid_t owner, const uuid_t about,
                     const char *resource, tide_mark *out)
{
    test_marks *marks = of(base);
    const entry *e = find(marks, owner, about, resource);
    int rc = failing(marks, TEST_MARKS_GET);

    if (rc == TIDE_OK && e == NULL)
        rc = TIDE_ABSENT;
    if (rc == TIDE_OK)
        *out = e->mark;
    return rc;
}

static int marks_advance(tide_watermarks *base, const tide_step *step, uint32_t durability)
{
    test_marks *marks = of(base);
    const entry *e;
    tide_mark mark = TIDE__NO_MARK;
    int rc;

    (void)durability;
    if (marks->before != NULL)
        marks->before(marks->before_ctx);
    rc = failing(marks, TEST_MARKS_ADVANCE);
    if (rc != TIDE_OK)
        return rc;
    e = find(marks, step->device, step->peer, step->resource);
    if (e != NULL)
        mark = e->mark;
    rc = tide__rule_advance(&mark, step->after, step->upto, step->epoch);
    if (rc == TIDE_OK)
        add(marks, step->device, step->peer, step->resource)->mark = mark;
    return rc;
}

static int marks_reset(tide_watermarks *base, const uuid_t about, const char *resource)
{
    test_marks *marks = of(base);
    entry *e = find(marks, base->device, about, resource);
    int rc = failing(marks, TEST_MARKS_RESET);

    if (rc == TIDE_OK) {
        rc = e == NULL ? TIDE_ABSENT : TIDE_OK;
        drop(marks, e);
    }
    return rc;
}

static int marks_each(tide_watermarks *base, const uuid_t about, tide_watermark_fn *fn, void *ctx)
{
    (void)base, (void)about, (void)fn, (void)ctx;
    return TIDE_EINVAL;
}

static int marks_max(tide_watermarks *base, tide_time *out)
{
    (void)base, (void)out;
    return TIDE_EINVAL;
}

static int marks_remove(tide_watermarks *base, const unsigned char *owner,
                        const unsigned char *about, size_t *removed)
{
    test_marks *marks = of(base);

    *removed = 0;
    for (size_t i = marks->count; i-- > 0;) {
        entry *e = &marks->entries[i];
        if ((owner == NULL || uuid_compare(e->owner, owner) == 0) &&
            (about == NULL || uuid_compare(e->about, about) == 0) &&
            ((owner != NULL && about != NULL) || uuid_compare(e->owner, e->about) != 0)) {
            drop(marks, e);
            ++*removed;
        }
    }
    return TIDE_OK;
}

static int marks_flush(tide_watermarks *base)
{
    (void)base;
    return TIDE_OK;
}

static int marks_barrier(tide_watermarks *base, tide_barrier_fn *fn, void *ctx)
{
    (void)base, (void)fn, (void)ctx;
    return TIDE_OK; /* nothing is ever published */
}

static void marks_detail(tide_watermarks *base, char *text, size_t size)
{
    (void)base;
    snprintf(text, size, "told to fail");
}

static const tide__backend marks_backend = {.close = marks_close,
                                            .get = marks_get,
                                            .advance = marks_advance,
                                            .reset = marks_reset,
                                            .each = marks_each,
                                            .max = marks_max,
                                            .remove = marks_remove,
                                            .flush = marks_flush,
                                            .set_barrier = marks_barrier,
                                            .detail = marks_detail};

test_marks *test_marks_make(const uuid_t device)
{
    test_marks *marks = calloc(1, sizeof *marks);

    ck_assert_ptr_nonnull(marks);
    marks->base.backend = &marks_backend;
    uuid_copy(marks->base.device, device);
    return marks;
}

void test_marks_free(test_marks *marks)
{
    free(marks);
}

tide_watermarks *test_marks_handle(test_marks *marks)
{
    return &marks->base;
}

void test_marks_fail(test_marks *marks, int call, int code, unsigned after)
{
    marks->code[call] = code;
    marks->after[call] = after;
}

void test_marks_before_advance(test_marks *marks, void (*fn)(void *ctx), void *ctx)
{
    marks->before = fn;
    marks->before_ctx = ctx;
}

void test_marks_set(test_marks *marks, const uuid_t peer, const char *resource, tide_time watermark,
                    tide_time epoch)
{
    if (watermark == TIDE_TIME_NONE)
        drop(marks, find(marks, marks->base.device, peer, resource));
    else
        add(marks, marks->base.device, peer, resource)->mark =
            (tide_mark){watermark, TIDE_TIME_NONE, epoch};
}

/* ---- devices ------------------------------------------------------------------------------------ */

const char test_schema[] =
    "CREATE TABLE place (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT);"
    "CREATE TABLE item (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT, size, local);";

static const char *const place_columns[] = {"name"};
static const char *const item_columns[] = {"name", "size"};
static const char *const item_depends[] = {"place"};

const tide_model test_place = {.size = sizeof(tide_model),
                               .ownership = TIDE_DEVICE_OWNED,
                               .resource = "place",
                               .table = "place",
                               .key = "uuid",
                               .columns = place_columns,
                               .column_count = 1};

const tide_model test_item = {.size = sizeof(tide_model),
                              .ownership = TIDE_SHARED,
                              .resource = "item",
                              .table = "item",
                              .key = "uuid",
                              .columns = item_columns,
                              .column_count = 2,
                              .depends_on = item_depends,
                              .depends_on_count = 1};

static tide_time side_now(void *ctx)
{
    const test_side *side = ctx;

    return test_now_ms * 1000000 + side->ahead;
}

static void side_event(void *ctx, const tide_event *event)
{
    test_side *side = ctx;

    test_require(event->size == sizeof *event);
    if (event->kind == TIDE_EVENT_RESOURCE_CHANGED) {
        side->changed += event->count;
        side->fitted += event->peer == NULL ? event->count : 0;
    } else if (event->kind == TIDE_EVENT_PARKED) {
        test_require(event->peer != NULL && event->resource != NULL && event->text != NULL);
        side->parked += event->count;
        snprintf(side->reason, sizeof side->reason, "%s", event->text);
    } else if (event->kind == TIDE_EVENT_STATE) {
        test_require(side->state_count < 64);
        side->states[side->state_count++] = event->state;
    }
}

void test_side_open_as(test_side *side, uint64_t number, const char *schema,
                       const tide_model *const *models, size_t count)
{
    tide_sync_options options;
    char detail[256] = "";
    uuid_t library;
    sqlite3 *maker;
    bool fresh;

    memset(side, 0, sizeof *side);
    side->number = number;
    snprintf(side->path, sizeof side->path, "%u.db", (unsigned)number);
    test_uuid(side->device, number);
    test_library_uuid(library);
    maker = test_connect(side->path);
    fresh = test_number(maker, "SELECT count(*) FROM sqlite_master") == 0;
    if (fresh)
        test_sql(maker, "%s", schema);
    sqlite3_close(maker);
    tide_sync_options_init(&options);
    options.device = side->device;
    options.library = library;
    options.clock = side_now;
    options.clock_ctx = side;
    options.event = side_event;
    options.event_ctx = side;
    options.detail = detail;
    options.detail_bytes = sizeof detail;
    if (tide_sync_open(side->path, &options, &side->sync) != TIDE_OK)
        ck_abort_msg("tide_sync_open: %s", detail);
    side->db = tide_sync_database(side->sync);
    test_sql(side->db, "PRAGMA synchronous = OFF");
    for (size_t i = 0; i < count; i++) {
        if (tide_sync_register(side->sync, models[i]) != TIDE_OK) {
            tide_sync_detail(side->sync, detail, sizeof detail);
            ck_abort_msg("tide_sync_register: %s", detail);
        }
    }
    side->marks = test_marks_make(side->device);
    test_require(tide_sync_attach(side->sync, test_marks_handle(side->marks)) == TIDE_OK);
}

void test_side_open(test_side *side, uint64_t number)
{
    static const tide_model *const models[] = {&test_place, &test_item};

    test_side_open_as(side, number, test_schema, models, 2);
}

void test_side_close(test_side *side)
{
    test_session_stop(side);
    tide_sync_close(side->sync);
    test_marks_free(side->marks);
    memset(side, 0, sizeof *side);
}

void test_session_start(test_side *side, const tide_session_options *options)
{
    test_session_stop(side);
    side->state_count = 0;
    test_require(tide_session_open(side->sync, options, &side->session) == TIDE_OK);
    test_require(side->session != NULL);
}

void test_session_stop(test_side *side)
{
    tide_session_close(side->session);
    side->session = NULL;
}

static tide__message decoded;

static void decode(test_bytes message)
{
    tide__detail detail;

    if (tide__message_decode(&decoded, message.data, message.length, &detail) != TIDE_OK)
        ck_abort_msg("a message of the engine's own: %s", detail.text);
}

static test_bytes copy_of(const void *bytes, size_t size)
{
    test_bytes copy = {malloc(size), size};

    test_require(copy.data != NULL);
    memcpy(copy.data, bytes, size);
    return copy;
}

bool test_take(test_side *side, test_bytes *out)
{
    const void *bytes = NULL;
    size_t size = 0;
    int rc = tide_session_next(side->session, &bytes, &size);
    char detail[256];

    if (rc == TIDE_ABSENT)
        return false;
    if (rc != TIDE_OK) {
        tide_sync_detail(side->sync, detail, sizeof detail);
        ck_abort_msg("tide_session_next: %s (%s)", tide_code_name(rc), detail);
    }
    *out = copy_of(bytes, size);
    decode(*out);
    side->said = decoded.session;
    tide__message_free(&decoded);
    return true;
}

int test_kind(test_bytes message)
{
    int kind;

    decode(message);
    kind = decoded.kind;
    tide__message_free(&decoded);
    return kind;
}

test_bytes test_take_kind(test_side *side, int kind)
{
    test_bytes message = {NULL, 0};

    test_require(test_take(side, &message));
    ck_assert_int_eq(test_kind(message), kind);
    return message;
}

void test_drop(test_bytes *message)
{
    free(message->data);
    *message = (test_bytes){NULL, 0};
}

int test_give(test_side *side, test_bytes message)
{
    return tide_session_receive(side->session, message.data, message.length);
}

int test_hand(test_side *side, test_bytes message)
{
    int rc = test_give(side, message);

    test_drop(&message);
    return rc;
}

/* One message of `from` to `to`, if there is one. */
static size_t carry(test_side *from, test_side *to)
{
    test_bytes message;
    char detail[256];
    int rc;

    if (!test_take(from, &message))
        return 0;
    rc = test_hand(to, message);
    if (rc != TIDE_OK) {
        tide_sync_detail(to->sync, detail, sizeof detail);
        ck_abort_msg("tide_session_receive: %s (%s)", tide_code_name(rc), detail);
    }
    return 1;
}

size_t test_talk(test_side *a, test_side *b)
{
    size_t count = 0;
    size_t more;

    do {
        more = carry(b, a) + carry(a, b);
        count += more;
        test_require(count <= TALK_MAX);
    } while (more > 0);
    return count;
}

void test_sync(test_side *a, test_side *b)
{
    test_session_start(a, NULL);
    test_session_start(b, NULL);
    test_talk(a, b);
    test_require(tide_session_is_complete(a->session) == 1);
    test_require(tide_session_is_complete(b->session) == 1);
    test_session_stop(a);
    test_session_stop(b);
}

void test_mark_full(test_side *side, const test_side *peer, const char *resource, tide_mark *out)
{
    const entry *e = find(side->marks, side->device, peer->device, resource);

    *out = e != NULL ? e->mark : TIDE__NO_MARK;
}

tide_time test_mark(test_side *side, const test_side *peer, const char *resource)
{
    tide_mark mark;

    test_mark_full(side, peer, resource, &mark);
    return mark.watermark;
}

#define FEED                                                                                       \
    "SELECT 'live' kind, t.uuid key, r.stamp stamp FROM \"tidemark_%w_rows\" r JOIN \"%w\" t "     \
    "ON t.id = r.row UNION ALL SELECT 'gone', key, stamp FROM \"tidemark_%w_gone\""

char *test_feed(sqlite3 *db, const char *resource, const char *table)
{
    return test_text(db, "SELECT kind, key, stamp - %lld FROM (" FEED ") ORDER BY stamp",
                     (long long)TEST_START, resource, table, resource);
}

void test_feed_is(sqlite3 *db, const char *expected, const char *resource, const char *table)
{
    char *feed = test_feed(db, resource, table);

    ck_assert_str_eq(feed, expected);
    free(feed);
}

tide_time test_newest(sqlite3 *db, const char *resource)
{
    return test_number(db,
                       "SELECT ifnull(max(stamp), 0) FROM (SELECT stamp FROM \"tidemark_%w_rows\" "
                       "UNION ALL SELECT stamp FROM \"tidemark_%w_gone\")",
                       resource, resource);
}

/* ---- comparing ---------------------------------------------------------------------------------- */

#define PLACES "SELECT uuid, name FROM place ORDER BY uuid"
#define ITEMS "SELECT uuid, name, typeof(size), size FROM item ORDER BY uuid"

bool test_rows_differ(test_side *a, test_side *b)
{
    char *texts[4] = {test_text(a->db, PLACES), test_text(b->db, PLACES), test_text(a->db, ITEMS),
                      test_text(b->db, ITEMS)};
    bool differ = strcmp(texts[0], texts[1]) != 0 || strcmp(texts[2], texts[3]) != 0;

    for (size_t i = 0; i < 4; i++)
        free(texts[i]);
    return differ;
}

void test_same_rows(test_side *a, test_side *b)
{
    char *places = test_text(a->db, PLACES);
    char *items = test_text(a->db, ITEMS);

    test_text_is(b->db, places, PLACES);
    test_text_is(b->db, items, ITEMS);
    free(places);
    free(items);
}

/* Rows of `db` by key, of the keys that the list of `keys` holds. */
static char *rows_among(sqlite3 *db, const char *resource, const char *keys)
{
    return test_text(db,
                     "SELECT uuid, name FROM \"%w\" WHERE uuid IN (SELECT value FROM json_each(%Q)) "
                     "ORDER BY uuid",
                     resource, keys);
}

static void honest(test_side *from, test_side *to, const char *resource)
{
    tide_time mark = test_mark(to, from, resource);
    char *live =
        test_text(from->db,
                  "SELECT json_group_array(t.uuid) FROM \"tidemark_%w_rows\" r JOIN \"%w\" "
                  "t ON t.id = r.row WHERE r.stamp <= %lld",
                  resource, resource, (long long)mark);
    char *gone = test_text(
        from->db, "SELECT json_group_array(key) FROM \"tidemark_%w_gone\" WHERE stamp <= %lld",
        resource, (long long)mark);
    char *texts[3] = {rows_among(from->db, resource, live), rows_among(to->db, resource, live),
                      rows_among(to->db, resource, gone)};

    ck_assert_str_eq(texts[1], texts[0]);
    ck_assert_str_eq(texts[2], "");
    for (size_t i = 0; i < 3; i++)
        free(texts[i]);
    free(live);
    free(gone);
}

void test_mark_is_honest(test_side *from, test_side *to)
{
    honest(from, to, "place");
    honest(from, to, "item");
}

/* ---- messages made by hand ---------------------------------------------------------------------- */

void test_library_uuid(uuid_t out)
{
    test_uuid(out, LIBRARY);
}

tide_time test_epoch(const test_side *side)
{
    return test_number(side->db, "SELECT epoch FROM tidemark_state");
}

tide_value test_string(const char *text)
{
    return (tide_value){.type = TIDE_STRING, .bytes = (uint32_t)strlen(text), .data = text};
}

tide_value test_integer(int64_t number)
{
    return (tide_value){.type = TIDE_INTEGER, .integer = number};
}

static void pack_row(msgpack_packer *p, const tide_change *row)
{
    msgpack_pack_array(p, 4 + row->value_count);
    tide__pack_bool(p, row->deleted);
    tide__pack_time(p, row->version);
    tide__pack_bytes(p, row->version_device, sizeof(uuid_t));
    tide__pack_value(p, &row->key);
    for (size_t i = 0; i < row->value_count; i++)
        tide__pack_value(p, &row->values[i]);
}

/* A life of the peer's, which nobody asks about. */
#define TEST_LIFE 1

test_head test_head_of(const test_side *from, const test_side *to, uint32_t number)
{
    test_head head = {.session = from->said > 0 ? from->said : 1, /* nothing said yet: any */
                      .epoch = test_epoch(from),
                      .to_session = to->said,
                      .number = number};

    test_library_uuid(head.library);
    uuid_copy(head.from, from->device);
    return head;
}

test_bytes test_page(const test_head *head, const test_range *ranges, size_t count, bool end)
{
    tide__buffer buffer = {NULL, 0, 0, false};
    msgpack_packer p;
    test_bytes page;

    tide__packer(&buffer, &p);
    tide__pack_head(&p, TIDE__PAGE, 5, head->library, head->from, head->session, head->epoch,
                    TEST_LIFE);
    tide__pack_time(&p, head->to_session);
    msgpack_pack_uint32(&p, head->number);
    msgpack_pack_uint32(&p, TIDE__HEALTHY);
    msgpack_pack_array(&p, count);
    for (size_t i = 0; i < count; i++) {
        tide__range range = {.resource = {ranges[i].resource, strlen(ranges[i].resource)},
                             .after = ranges[i].after,
                             .upto = ranges[i].upto,
                             .generation = TIDE_TIME_NONE,
                             .head = ranges[i].upto == TIDE_TIME_NONE ? 0 : ranges[i].upto,
                             .known = true};
        tide__pack_range(&p, &range);
        msgpack_pack_array(&p, ranges[i].row_count);
        for (size_t r = 0; r < ranges[i].row_count; r++)
            pack_row(&p, &ranges[i].rows[r]);
        tide__pack_range_end(&p, &range);
    }
    tide__pack_bool(&p, end);
    test_require(!buffer.failed);
    page = copy_of(buffer.bytes, buffer.size);
    tide__buffer_free(&buffer);
    return page;
}
