/* fuzz_session.c - a session that hears whatever the input makes up: messages that are right but for
 * what the input chooses, such with a byte changed, and bytes; between them rows are written, time
 * goes by, sessions end and begin. What must hold after each message:
 *
 * - One that the decoder or the session refuses has changed no row, no record and no mark.
 * - A mark of the same epoch has not fallen, and one that rose stands where a range of this message
 *   ends.
 * - Each row of such a range is in the feed or parked, in this version or a newer one.
 *
 * And at the end each row of a table has one record of its own, and no key is both alive and gone. */
#include "fuzz/fuzz.h"

#include <unistd.h>

#include "sync/support_sync.h"

#define SESSIONS 3 /* of the peer */
#define RESOURCES 2
#define PEER 2

static const char *const resources[RESOURCES] = {"place", "item"};
static const unsigned value_counts[RESOURCES] = {1, 2};

static test_side us;
static test_side peer; /* only its number and device */
static int64_t now_ns;

/* The last question of ours: what a right answer has to say. */
static struct {
    uint32_t number;
    tide_time after[RESOURCES];
} question;

/* ---- Check without a runner ---------------------------------------------------------------------- */

void __wrap__mark_point(const char *file, int line);
_Noreturn void __wrap__ck_assert_failed(const char *file, int line, const char *expression,
                                        const char *message, ...);

/* The support of the tests asserts with Check, which here has nobody to tell. */
void __wrap__mark_point(const char *file, int line)
{
    (void)file, (void)line;
}

void __wrap__ck_assert_failed(const char *file, int line, const char *expression,
                              const char *message, ...)
{
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, expression, message == NULL ? "" : message);
    abort();
}

/* ---- our side ----------------------------------------------------------------------------------- */

/* The database of a device that has a few rows, as a file. */
static test_bytes template;

static void open_us(void)
{
    static const char *const left[] = {"1.db", "1.db-wal", "1.db-shm"};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        (void)unlink(left[i]);
    }
    test_clock_install();
    if (template.data == NULL) {
        test_side_open(&us, 1);
        test_sql(us.db, "INSERT INTO place (uuid, name) VALUES ('k1', 'ours');"
                        "INSERT INTO item (uuid, name, size) VALUES ('k1', 'one', 1), "
                        "('k2', 'two', 2), ('k3', 'three', 3);"
                        "DELETE FROM item WHERE uuid = 'k3'");
        test_side_close(&us);
        template = test_read_file("1.db");
    }
    test_write_file("1.db", template.data, template.length);
    test_side_open(&us, 1);
    test_uuid(peer.device, PEER);
    peer.number = PEER;
}

static void begin_session(fuzz_input *input)
{
    tide_session_options options;
    tide_session_options_init(&options);
    uint32_t choice = fuzz_below(input, 4);
    options.peer = choice == 1 ? peer.device : NULL;
    options.page_rows = choice == 2 ? 1 : 500;
    test_session_start(&us, &options);
    now_ns = 0;
}

/* All that there is to know of rows and marks; to be freed. */
static char *state_of_rows(void)
{
    return test_text(
        us.db,
        "SELECT * FROM (SELECT 'place', id, uuid, name, NULL, NULL FROM place UNION ALL "
        "SELECT 'item', id, uuid, name, size, local FROM item UNION ALL "
        "SELECT 'rows', row, key, stamp, version, device FROM tidemark_place_rows "
        "UNION ALL "
        "SELECT 'rows', row, key, stamp, version, device FROM tidemark_item_rows "
        "UNION ALL "
        "SELECT 'gone', key, stamp, version, device, source FROM tidemark_place_gone "
        "UNION ALL "
        "SELECT 'gone', key, stamp, version, device, source FROM tidemark_item_gone "
        "UNION ALL "
        "SELECT 'parked', resource, key, version, device, data FROM tidemark_parked UNION ALL "
        "SELECT 'followed', peer, resource, life, head, source FROM tidemark_followed)");
}

/* Takes what we have to say until there is no more, and remembers what we ask. */
static void take_ours(void)
{
    static tide__message message;
    tide__detail detail;
    const void *bytes = NULL;
    size_t size = 0;
    int rc = TIDE_OK;
    for (int i = 0; i < 8; i++) {
        rc = tide_session_next(us.session, &bytes, &size);
        if (rc != TIDE_OK) {
            break;
        }
        fuzz_require(tide__message_decode(&message, bytes, size, &detail) == TIDE_OK);
        us.said = message.session;
        if (message.kind == TIDE__HELLO || message.kind == TIDE__WANT) {
            question.number = message.question.number;
            for (size_t w = 0; w < message.question.count; w++) {
                const tide__want *want = &message.question.wants[w];
                question.after[want->resource.length == 4] = want->after;
            }
        }
        tide__message_free(&message);
    }
    fuzz_require(rc == TIDE_OK || rc == TIDE_ABSENT);
}

/* ---- what the peer says ------------------------------------------------------------------------- */

/* A time near those that matter: the beginning, our mark, the present, or anything. */
static tide_time any_time(fuzz_input *input, tide_time usual)
{
    uint32_t choice = fuzz_below(input, 8);
    int64_t step = (int64_t)fuzz_number(input, 1);
    if (choice == 7) {
        return (tide_time)fuzz_number(input, 8);
    }
    if (choice == 6) {
        return TIDE_TIME_NONE;
    }
    if (choice < 4) {
        return usual == TIDE_TIME_NONE && choice == 0 ? usual
               : usual == TIDE_TIME_NONE              ? TEST_START + step
               : usual > TIDE_TIME_MAX - step         ? usual
                                                      : usual + (choice == 0 ? 0 : step);
    }
    return TEST_START + step;
}

static tide_time our_life(void)
{
    return test_number(us.db, "SELECT life FROM tidemark_state");
}

static tide_time peer_life(fuzz_input *input)
{
    return 1 + (int64_t)(fuzz_below(input, 8) == 7 ? fuzz_number(input, 1) : 0);
}

static tide_time peer_epoch(fuzz_input *input)
{
    return TEST_START - 1000 + (int64_t)(fuzz_below(input, 8) == 7 ? fuzz_number(input, 1) : 0);
}

static void pack_key(msgpack_packer *p, fuzz_input *input)
{
    char key[3] = {'k', (char)('0' + fuzz_below(input, 8)), '\0'};
    tide__pack_text(p, key, 2);
}

static void pack_any_value(msgpack_packer *p, fuzz_input *input)
{
    tide_value value = {.type = fuzz_below(input, 5)};
    size_t size = 0;
    value.integer = (int64_t)fuzz_number(input, 1) - 128;
    value.real = (double)value.integer / 3;
    value.data = fuzz_bytes(input, value.type >= TIDE_STRING ? 4 : 0, &size);
    value.bytes = (uint32_t)size;
    tide__pack_value(p, &value);
}

static void pack_row(msgpack_packer *p, fuzz_input *input, unsigned values)
{
    uuid_t maker;
    uint32_t kind = fuzz_below(input, 16);
    bool deleted = kind % 4 == 3;
    test_uuid(maker, 1 + fuzz_below(input, 4)); /* us, the peer, others */
    (void)msgpack_pack_array(p, 4 + (deleted ? 0 : values));
    tide__pack_bool(p, deleted);
    tide__pack_time(p, any_time(input, TEST_START));
    tide__pack_bytes(p, maker, sizeof maker);
    if (kind >= 14) {
        pack_any_value(p, input);
    } else {
        pack_key(p, input);
    }
    for (unsigned v = 0; !deleted && v < values; v++) {
        pack_any_value(p, input);
    }
}

/* A resource; the second of a list is another, as it may stand there only once. */
static uint32_t any_resource(fuzz_input *input, size_t place, uint32_t first)
{
    uint32_t which = fuzz_below(input, RESOURCES);
    return place == 0 ? which : RESOURCES - 1 - first;
}

static void pack_any_range(msgpack_packer *p, fuzz_input *input, uint32_t which)
{
    uint32_t extra = fuzz_below(input, 128); /* the seldom said things, a bit each */
    tide_time after = any_time(input, question.after[which]);
    tide__range range = {.resource = {resources[which], strlen(resources[which])},
                         .after = after,
                         .upto = any_time(input, after),
                         .rescan = (extra & 3) == 3,
                         .doubts = (extra & 4) != 0,
                         .summed = (extra & 8) != 0,
                         .generation = TIDE_TIME_NONE,
                         .known = (extra & 16) == 0};
    if ((extra & 1) != 0) {
        range.generation = any_time(input, TEST_START);
    }
    range.head = any_time(input, range.upto);
    range.seen_count = (extra & 32) != 0 ? fuzz_below(input, 4) : 0;
    for (size_t i = 0; i < range.seen_count; i++) {
        bool of_ours = (extra & 64) != 0;
        range.seen[i].stamp = any_time(input, TEST_START);
        range.seen[i].epoch = of_ours ? test_epoch(&us) : any_time(input, TEST_START);
        range.seen[i].life = of_ours ? our_life() : any_time(input, TEST_START);
    }
    range.digest.count = range.summed ? fuzz_number(input, 1) : 0;
    uint32_t rows = range.rescan ? 0 : fuzz_below(input, 4);
    tide__pack_range(p, &range);
    (void)msgpack_pack_array(p, rows);
    while (rows-- > 0) {
        pack_row(p, input, value_counts[which]);
    }
    tide__pack_range_end(p, &range);
}

static void pack_any_question(msgpack_packer *p, fuzz_input *input)
{
    tide__question asked = {.number = fuzz_below(input, 8),
                            .rows = 1 + fuzz_below(input, 8),
                            .bytes = 1 + (uint32_t)fuzz_number(input, 2),
                            .health = fuzz_below(input, 8) == 7,
                            .wanting = fuzz_below(input, 8) != 7};
    uint32_t first = 0;
    asked.count = asked.wanting ? fuzz_below(input, RESOURCES + 1) : 0;
    for (size_t i = 0; i < asked.count; i++) {
        uint32_t which = any_resource(input, i, first);
        first = which;
        asked.wants[i] = (tide__want){.resource = {resources[which], strlen(resources[which])},
                                      .after = any_time(input, TEST_START),
                                      .generation = TIDE_TIME_NONE,
                                      .all = fuzz_below(input, 2) != 0,
                                      .doubt = fuzz_below(input, TIDE__DOUBT_MAX + 1)};
        asked.wants[i].epoch =
            fuzz_below(input, 4) == 3 ? any_time(input, TEST_START) : test_epoch(&us);
        if (fuzz_below(input, 4) == 3) {
            asked.wants[i].generation = any_time(input, TEST_START);
        }
        /* What it took before: nothing, of ours, or of a life unknown. */
        uint32_t taken = fuzz_below(input, 4);
        asked.wants[i].life = taken == 0   ? TIDE_TIME_NONE
                              : taken == 3 ? any_time(input, TEST_START)
                                           : our_life();
        asked.wants[i].head = taken == 0 ? TIDE_TIME_NONE : any_time(input, TEST_START);
    }
    tide__pack_question(p, &asked);
}

static void pack_models(msgpack_packer *p)
{
    static const char *const columns[RESOURCES][3] = {{"uuid", "name", NULL},
                                                      {"uuid", "name", "size"}};
    (void)msgpack_pack_array(p, RESOURCES);
    for (size_t i = 0; i < RESOURCES; i++) {
        (void)msgpack_pack_array(p, 2);
        tide__pack_text(p, resources[i], strlen(resources[i]));
        (void)msgpack_pack_array(p, value_counts[i] + 1);
        for (size_t c = 0; c <= value_counts[i]; c++) {
            tide__pack_text(p, columns[i][c], strlen(columns[i][c]));
        }
    }
}

static void pack_page(msgpack_packer *p, fuzz_input *input)
{
    uint32_t chance = fuzz_below(input, 16); /* seldom for another question, or of one not well */
    (void)msgpack_pack_int64(p, chance == 15 ? 1 : us.said);
    (void)msgpack_pack_uint32(p, question.number + (chance == 14));
    (void)msgpack_pack_uint32(p, chance >= 12 && chance <= 13 ? chance - 11 : 0);
    uint32_t ranges = fuzz_below(input, RESOURCES + 1);
    uint32_t which = 0;
    (void)msgpack_pack_array(p, ranges);
    for (uint32_t i = 0; i < ranges; i++) {
        which = any_resource(input, i, which);
        pack_any_range(p, input, which);
    }
    tide__pack_bool(p, fuzz_below(input, 4) != 3);
}

static void make_message(fuzz_input *input, int kind, tide__buffer *out)
{
    static const size_t fields[] = {0, 2, 1, 5, 0};
    msgpack_packer p;
    uuid_t library;
    test_library_uuid(library);
    int64_t session = 1 + (fuzz_below(input, 8) == 7 ? fuzz_below(input, SESSIONS) : 0);
    tide_time epoch = peer_epoch(input);
    tide_time life = peer_life(input);
    tide__packer(out, &p);
    tide__pack_head(&p, kind, fields[kind], library, peer.device, session, epoch, life);
    if (kind == TIDE__HELLO) {
        pack_models(&p);
    }
    if (kind == TIDE__HELLO || kind == TIDE__WANT) {
        pack_any_question(&p, input);
    }
    if (kind == TIDE__PAGE) {
        pack_page(&p, input);
    }
    fuzz_require(!out->failed);
}

/* ---- what must hold ----------------------------------------------------------------------------- */

/* How many records of the row are as new, or newer. Keys as the tables' TEXT column has them. */
static void row_is_here(const char *resource, const tide_change *row)
{
    sqlite3_stmt *statement = NULL;
    char *sql = sqlite3_mprintf(
        "SELECT count(*) FROM (SELECT key, ifnull(version, stamp) v FROM \"tidemark_%w_rows\" UNION "
        "ALL SELECT key, ifnull(version, stamp) FROM \"tidemark_%w_gone\" UNION ALL "
        "SELECT key, version FROM tidemark_parked WHERE resource = %Q) "
        "WHERE CAST(key AS BLOB) = CAST(?1 AS BLOB) AND v >= ?2",
        resource, resource, resource);
    fuzz_require(sqlite3_prepare_v2(us.db, sql, -1, &statement, NULL) == SQLITE_OK);
    sqlite3_free(sql);
    const tide_value *key = &row->key;
    if (key->type == TIDE_INTEGER) {
        sqlite3_bind_int64(statement, 1, key->integer);
    } else if (key->type == TIDE_FLOAT) {
        sqlite3_bind_double(statement, 1, key->real);
    } else if (key->type == TIDE_STRING) {
        sqlite3_bind_text(statement, 1, key->data, (int)key->bytes, SQLITE_STATIC);
    } else {
        sqlite3_bind_blob(statement, 1, key->bytes > 0 ? key->data : "", (int)key->bytes,
                          SQLITE_STATIC);
    }
    sqlite3_bind_int64(statement, 2, row->version);
    fuzz_require(sqlite3_step(statement) == SQLITE_ROW);
    fuzz_require(sqlite3_column_int(statement, 0) > 0);
    fuzz_require(sqlite3_finalize(statement) == SQLITE_OK);
}

/* A mark that this message raised: a range of it ends there, and its rows are here. */
static void mark_is_covered(const tide__message *message, size_t which, tide_time mark)
{
    const char *name = resources[which];
    bool ends = false;
    for (size_t i = 0; i < message->range_count; i++) {
        const tide__range *range = &message->ranges[i];
        if (range->resource.length != strlen(name) ||
            memcmp(range->resource.text, name, strlen(name)) != 0 || range->upto > mark) {
            continue;
        }
        ends = ends || range->upto == mark;
        for (size_t r = 0; range->upto == mark && r < range->rows->size; r++) {
            tide_change row;
            tide_value values[2];
            fuzz_require(tide__message_row(range, r, value_counts[which], &row, values) == TIDE_OK);
            row_is_here(name, &row);
        }
    }
    fuzz_require(ends);
}

static void hear(const void *bytes, size_t size)
{
    static tide__message message;
    tide__detail detail;
    tide_mark before[RESOURCES];
    tide_mark after[RESOURCES];
    int decoded = tide__message_decode(&message, bytes, size, &detail);
    char *rows = state_of_rows();
    for (size_t i = 0; i < RESOURCES; i++) {
        test_mark_full(&us, &peer, resources[i], &before[i]);
    }
    int rc = tide_session_receive(us.session, bytes, size);
    fuzz_require(decoded == TIDE_OK || rc == decoded);
    char *rows_after = state_of_rows();
    for (size_t i = 0; i < RESOURCES; i++) {
        test_mark_full(&us, &peer, resources[i], &after[i]);
        bool rose =
            after[i].watermark != TIDE_TIME_NONE &&
            (before[i].watermark != after[i].watermark || before[i].epoch != after[i].epoch);
        if (rc != TIDE_OK) {
            fuzz_require(before[i].watermark == after[i].watermark &&
                         before[i].epoch == after[i].epoch);
        } else if (rose) {
            fuzz_require(after[i].epoch != before[i].epoch ||
                         after[i].watermark > before[i].watermark);
            fuzz_require(message.kind == TIDE__PAGE && after[i].epoch == message.epoch);
            mark_is_covered(&message, i, after[i].watermark);
        }
    }
    fuzz_require(rc == TIDE_OK || strcmp(rows, rows_after) == 0);
    free(rows);
    free(rows_after);
    if (decoded == TIDE_OK) {
        tide__message_free(&message);
    }
    if (rc != TIDE_OK) { /* it is over, and another one begins */
        fuzz_require(tide_session_receive(us.session, bytes, size) == TIDE_ECLOSED);
        test_session_start(&us, NULL);
    }
}

static void tables_are_whole(void)
{
    for (size_t i = 0; i < RESOURCES; i++) {
        const char *name = resources[i];
        fuzz_require(test_number(us.db,
                                 "SELECT count(*) FROM \"%w\" t FULL JOIN \"tidemark_%w_rows\" r ON "
                                 "r.row = t.id WHERE t.id IS NULL OR r.row IS NULL OR r.key IS NOT "
                                 "t.uuid",
                                 name, name) == 0);
        fuzz_require(test_number(us.db,
                                 "SELECT count(*) FROM \"tidemark_%w_gone\" g JOIN "
                                 "\"tidemark_%w_rows\" r ON r.key = g.key",
                                 name, name) == 0);
        fuzz_require(test_number(us.db,
                                 "SELECT count(*) - count(DISTINCT stamp) FROM (SELECT stamp FROM "
                                 "\"tidemark_%w_rows\" UNION ALL SELECT stamp FROM "
                                 "\"tidemark_%w_gone\")",
                                 name, name) == 0);
    }
}

/* ---- what happens ------------------------------------------------------------------------------- */

/* Rows of the peer's are not ours to change: then the statement fails, as it should. */
static void write_row(fuzz_input *input)
{
    static const char *const statements[] = {
        "INSERT INTO item (uuid, name, size) VALUES ('k%u', 'w', %u) ON CONFLICT (uuid) DO UPDATE "
        "SET size = excluded.size",
        "INSERT INTO place (uuid, name) VALUES ('k%u', %u) ON CONFLICT (uuid) DO UPDATE SET name = "
        "excluded.name",
        "DELETE FROM item WHERE uuid = 'k%u' AND %u = %u", "DELETE FROM place WHERE uuid = 'k%u'"};
    uint32_t which = fuzz_below(input, 4);
    uint32_t key = fuzz_below(input, 8);
    uint32_t value = fuzz_below(input, 16);
    char *sql = sqlite3_mprintf(statements[which], key, value, value);
    (void)test_sql_code(us.db, sql);
    sqlite3_free(sql);
}

static void hear_message(fuzz_input *input, int kind, bool changed)
{
    tide__buffer message = {NULL, 0, 0, false};
    make_message(input, kind, &message);
    if (changed) {
        size_t at = fuzz_number(input, 2) % message.size;
        uint32_t bits = 1 + fuzz_below(input, 255);
        message.bytes[at] = (char)((unsigned char)message.bytes[at] ^ bits);
        message.size -= bits == 1; /* and one that ends too early */
    }
    hear(message.bytes, message.size);
    tide__buffer_free(&message);
}

static void step(fuzz_input *input)
{
    uint32_t what = (uint32_t)fuzz_number(input, 1);
    size_t size = 0;
    const uint8_t *bytes = NULL;
    us.state_count = 0;
    switch (what % 16) {
    case 1:
    case 2:
    case 3:
    case 4:
        hear_message(input, (int)(what % 16), what >= 0xf0);
        take_ours();
        break;
    case 5:
        bytes = fuzz_bytes(input, fuzz_below(input, 64), &size);
        hear(bytes, size);
        break;
    case 6:
    case 7:
        write_row(input);
        break;
    case 8:
        now_ns += (int64_t)fuzz_below(input, 8) * 500000000;
        tide_session_tick(us.session, now_ns);
        take_ours();
        break;
    case 9:
        test_now_ms += TEST_STEP_MS;
        tide_session_notify(us.session);
        take_ours();
        break;
    case 10:
        tide_session_pause(us.session);
        break;
    case 11:
        tide_session_resume(us.session);
        take_ours();
        break;
    case 12:
        begin_session(input);
        take_ours();
        break;
    case 13:
        fuzz_require(tide_sync_prune(us.sync, NULL) == TIDE_OK);
        break;
    case 14:
        fuzz_require(tide_sync_retry_parked(us.sync, NULL) == TIDE_OK);
        break;
    case 15:
        fuzz_require(tide_sync_accept(us.sync) == TIDE_OK);
        break;
    default:
        hear_message(input, TIDE__PAGE, false);
        take_ours();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = {data, size};
    open_us();
    begin_session(&input);
    take_ours();
    while (input.left > 0) {
        step(&input);
    }
    tables_are_whole();
    test_side_close(&us);
    return 0;
}
