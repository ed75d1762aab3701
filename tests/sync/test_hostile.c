/* What a peer may say at the wrong time, of the wrong type, or of stamps that cannot be: for each
 * message the exact answer, what of the database and of the marks it changes, and what is said
 * next. The peer is made by hand; it is the second device of the library, and has no database. */
#include <tidemark/session.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/support_sync.h"

#define PEER 1
#define SESSION 1000 /* of the peer, and another one of it */
#define RIVAL 2000
#define EPOCH (TEST_START + 5) /* of its feed, and its life */
#define LIFE (TEST_START + 6)
#define NONE TIDE_TIME_NONE
#define STEP (test_sanitized() ? 5u : 1u) /* every fifth, where each takes long */
#define AHEAD INT64_C(300000000000)       /* how far a version may be */

static test_side b;
static uuid_t peer;
static uint32_t number; /* of b's last question */
static sqlite3 *other;  /* a connection of another program to b's database */

static void set_up(void)
{
    test_clock_install();
    test_side_open(&b, 2);
    test_uuid(peer, PEER);
    test_sql(b.db,
             "INSERT INTO place (uuid) VALUES ('own'); INSERT INTO item (uuid) VALUES ('own')");
    other = test_connect("2.db");
}

static void tear_down(void)
{
    test_side_close(&b);
    ck_assert_int_eq(sqlite3_close(other), SQLITE_OK);
}

/* ---- what the peer says ------------------------------------------------------------------------- */

/* A message with one want, or with one range. */
typedef struct word {
    int kind;
    tide_time session, epoch, life;
    uint32_t number; /* of the question that is asked or answered */
    tide_time after, generation, head;
    tide_time want_epoch, want_life;   /* HELLO, WANT */
    bool nothing, no_models;           /* no wants; HELLO: no models */
    tide_time upto;                    /* PAGE */
    bool empty, rescan, unknown, more; /* no range; a full read is due; not the end */
    tide_time seen, seen_epoch, seen_life;
    const char *resource;
    const char *key; /* of its row; NULL: there is none */
    tide_time version;
    uint64_t maker;   /* number of the device that made it */
    size_t more_rows; /* of other keys and makers */
    uint32_t health;  /* of the asker */
} word;

static word hello(uint32_t asked)
{
    return (word){.kind = TIDE__HELLO,
                  .session = SESSION,
                  .epoch = EPOCH,
                  .life = LIFE,
                  .number = asked,
                  .after = NONE,
                  .generation = NONE,
                  .head = NONE,
                  .want_epoch = NONE,
                  .want_life = NONE};
}

static word want(uint32_t asked)
{
    word w = hello(asked);

    w.kind = TIDE__WANT;
    return w;
}

static word news(void)
{
    return (word){.kind = TIDE__NEWS, .session = SESSION, .epoch = EPOCH, .life = LIFE};
}

static word page(uint32_t asked, tide_time after, tide_time upto, const char *key)
{
    return (word){.kind = TIDE__PAGE,
                  .session = SESSION,
                  .epoch = EPOCH,
                  .life = LIFE,
                  .number = asked,
                  .after = after,
                  .upto = upto,
                  .resource = "item",
                  .generation = NONE,
                  .head = upto == NONE ? 0 : upto,
                  .seen = NONE,
                  .key = key,
                  .version = TEST_START + 1,
                  .maker = PEER};
}

static void pack_row(msgpack_packer *p, const word *w, size_t i)
{
    uuid_t maker;
    char key[64];

    test_uuid(maker, w->maker + i);
    (void)snprintf(key, sizeof key, i == 0 ? "%s" : "%s %zu", w->key, i);
    msgpack_pack_array(p, 6);
    tide__pack_bool(p, false);
    tide__pack_time(p, w->version);
    tide__pack_bytes(p, maker, sizeof maker);
    tide__pack_text(p, key, strlen(key));
    tide__pack_text(p, "name", 4);
    msgpack_pack_int64(p, 7);
}

static void pack_question(msgpack_packer *p, const word *w)
{
    tide__question question = {.number = w->number,
                               .rows = 500,
                               .bytes = 65536,
                               .health = w->health,
                               .wanting = true,
                               .count = !w->nothing};

    question.wants[0] = (tide__want){.resource = {"item", 4},
                                     .after = w->after,
                                     .epoch = w->want_epoch,
                                     .generation = w->generation,
                                     .life = w->want_life,
                                     .head = w->head};
    tide__pack_question(p, &question);
}

static void pack_models(msgpack_packer *p, const word *w)
{
    static const char *const columns[] = {"uuid", "name", "size"};

    msgpack_pack_array(p, w->no_models ? 0 : 1);
    if (w->no_models)
        return;
    msgpack_pack_array(p, 2);
    tide__pack_text(p, "item", 4);
    msgpack_pack_array(p, 3);
    for (size_t i = 0; i < 3; i++)
        tide__pack_text(p, columns[i], 4);
}

static void pack_range(msgpack_packer *p, const word *w)
{
    tide__range range = {.resource = {w->resource, strlen(w->resource)},
                         .after = w->after,
                         .upto = w->upto,
                         .generation = w->generation,
                         .rescan = w->rescan,
                         .head = w->head,
                         .known = !w->unknown,
                         .seen_count = w->seen != NONE,
                         .seen = {{w->seen, w->seen_epoch, w->seen_life}},
                         .summed = w->seen != NONE};

    tide__pack_range(p, &range);
    msgpack_pack_array(p, w->key == NULL ? 0 : 1 + w->more_rows);
    for (size_t i = 0; w->key != NULL && i <= w->more_rows; i++)
        pack_row(p, w, i);
    tide__pack_range_end(p, &range);
}

static test_bytes message(const word *w)
{
    static const size_t fields[] = {
        [TIDE__HELLO] = 2, [TIDE__WANT] = 1, [TIDE__PAGE] = 5, [TIDE__NEWS] = 0};
    tide__buffer buffer = {NULL, 0, 0, false};
    msgpack_packer p;
    uuid_t library;

    test_library_uuid(library);
    tide__packer(&buffer, &p);
    tide__pack_head(&p, w->kind, fields[w->kind], library, peer, w->session, w->epoch, w->life);
    if (w->kind == TIDE__HELLO)
        pack_models(&p, w);
    if (w->kind == TIDE__HELLO || w->kind == TIDE__WANT)
        pack_question(&p, w);
    if (w->kind == TIDE__PAGE) {
        tide__pack_time(&p, b.said);
        msgpack_pack_uint32(&p, w->number);
        msgpack_pack_uint32(&p, TIDE__HEALTHY);
        msgpack_pack_array(&p, w->empty ? 0 : 1);
        if (!w->empty)
            pack_range(&p, w);
        tide__pack_bool(&p, !w->more);
    }
    test_require(!buffer.failed);
    return (test_bytes){(unsigned char *)buffer.bytes, buffer.size};
}

static int say(word w)
{
    test_bytes bytes = message(&w);
    tide__buffer buffer = {(char *)bytes.data, 0, 0, false};
    int rc = test_give(&b, bytes);

    tide__buffer_free(&buffer);
    return rc;
}

/* All that b says, by the first letters; "" where it is silent. */
static const char *answers(void)
{
    static const char letters[] = "?HWPN";
    static tide__message said;
    static char text[16];
    tide__detail detail;
    test_bytes bytes;
    size_t count = 0;

    while (test_take(&b, &bytes)) {
        test_require(count < sizeof text - 1);
        test_require(tide__message_decode(&said, bytes.data, bytes.length, &detail) == TIDE_OK);
        text[count++] = letters[said.kind];
        if (said.kind == TIDE__HELLO || said.kind == TIDE__WANT)
            number = said.question.number;
        tide__message_free(&said);
        test_drop(&bytes);
    }
    text[count] = '\0';
    return text;
}

/* ---- what is here ------------------------------------------------------------------------------- */

static tide_mark mark(void)
{
    tide_mark mark = {NONE, NONE, NONE};
    int rc = tide_watermarks_get_mark(test_marks_handle(b.marks), peer, "item", &mark);

    test_require(rc == TIDE_OK || rc == TIDE_ABSENT);
    return mark;
}

static tide_time ack(void)
{
    tide_time ack = NONE;
    int rc = tide_watermarks_get_ack(test_marks_handle(b.marks), peer, "item", &ack);

    test_require(rc == TIDE_OK || rc == TIDE_ABSENT);
    return ack;
}

#define TABLES_MAX 32

/* Every table of the database, and the marks. */
typedef struct snapshot {
    size_t count;
    char *names[TABLES_MAX], *texts[TABLES_MAX];
} snapshot;

static snapshot snap(void)
{
    snapshot s;
    char *all = test_text(
        b.db, "SELECT replace(name, 'tidemark_', '') FROM sqlite_master WHERE type = 'table'");
    char *next = NULL;

    s.count = 0;
    for (char *name = strtok_r(all, "|", &next); name != NULL; name = strtok_r(NULL, "|", &next)) {
        bool ours = strcmp(name, "item") != 0 && strcmp(name, "place") != 0;
        test_require(s.count < TABLES_MAX - 2);
        s.names[s.count] = strdup(name);
        s.texts[s.count++] =
            test_text(b.db, "SELECT * FROM \"%s%w\"", ours ? "tidemark_" : "", name);
    }
    free(all);
    s.names[s.count] = strdup("mark");
    s.texts[s.count++] = sqlite3_mprintf("%lld %lld", mark().watermark, mark().epoch);
    s.names[s.count] = strdup("ack");
    s.texts[s.count++] = sqlite3_mprintf("%lld", ack());
    return s;
}

/* The names of those that are not as they were; frees what was. */
static const char *changed(snapshot *was)
{
    static char text[256];
    snapshot is = snap();
    size_t length = 0;

    test_require(is.count == was->count);
    text[0] = '\0';
    for (size_t i = 0; i < is.count; i++) {
        if (strcmp(is.texts[i], was->texts[i]) != 0)
            length += (size_t)snprintf(text + length, sizeof text - length, "%s%s",
                                       length > 0 ? " " : "", is.names[i]);
    }
    for (size_t i = 0; i < is.count; i++) {
        void (*release)(void *) = i < is.count - 2 ? free : sqlite3_free;
        free(is.names[i]);
        free(was->names[i]);
        release(is.texts[i]);
        release(was->texts[i]);
    }
    return text;
}

/* Changes whenever b's engine has written anything. */
static int64_t version_of_database(void)
{
    return test_number(other, "PRAGMA data_version");
}

/* ---- every kind in every state ------------------------------------------------------------------ */

enum { OPENED, EXPECTING, GREETING, HEARD, ASKED, READY, PAUSED, CLOSED, RECOVERING, STATES };

static tide_session_options options;

/* Between two that know each other; b's own row was heard of. */
static void become_ready(void)
{
    ck_assert_int_eq(say(page(1, TEST_START + 1, TEST_START + 1, NULL)), TIDE_OK);
    ck_assert_str_eq(answers(), "");
    ck_assert_int_eq(tide_session_state(b.session), TIDE_READY);
}

static void become(int state)
{
    tide_session_options_init(&options);
    options.peer = state == OPENED || state == GREETING ? NULL : peer;
    options.prove = 0;
    test_session_start(&b, &options);
    b.said = 1; /* not known yet */
    number = 0;
    if (state == OPENED || state == EXPECTING)
        return;
    ck_assert_str_eq(answers(), "H");
    if (state == GREETING)
        return;
    ck_assert_int_eq(say(hello(0)), TIDE_OK);
    if (state == HEARD)
        return;
    ck_assert_str_eq(answers(), "P");
    ck_assert_int_eq(say(page(0, NONE, TEST_START + 1, "first")), TIDE_OK);
    ck_assert_str_eq(answers(), "W");
    if (state == ASKED)
        return;
    become_ready();
    if (state == PAUSED)
        tide_session_pause(b.session);
    if (state == CLOSED)
        ck_assert_int_eq(tide_session_receive(b.session, "x", 1), TIDE_EPROTO);
    if (state == RECOVERING) {
        word ahead = want(1);
        ahead.after = TEST_START * 2;
        ahead.want_epoch = test_epoch(&b);
        ck_assert_int_eq(say(ahead), TIDE_OK);
        ck_assert_str_eq(answers(), "PW");
        ck_assert_int_eq(tide_sync_is_recovering(b.sync), 1);
    }
}

enum { SAY_HELLO, SAY_RIVAL, SAY_WANT, SAY_LATE, SAY_PAGE, SAY_OTHER, SAY_NEWS, SAY_STRAY, WORDS };

static word word_of(int which)
{
    word w = which == SAY_HELLO || which == SAY_RIVAL ? hello(which == SAY_HELLO ? 5 : 0)
             : which == SAY_PAGE || which == SAY_OTHER
                 ? page(number, mark().watermark, TEST_START + 2, "k")
             : which == SAY_NEWS ? news()
                                 : want(which == SAY_LATE ? UINT32_MAX : 5);

    w.session = which == SAY_RIVAL || which == SAY_STRAY ? RIVAL : SESSION;
    w.number += which == SAY_OTHER;
    return w;
}

/* The answer, what changes, and what is said then. What is not "TIDE_OK" ends the session. */
static const char *const expected[STATES][WORDS] = {
    [OPENED] = {[SAY_HELLO] = "TIDE_OK peers: HP", /* whoever greets is registered */
                [SAY_RIVAL] = "TIDE_OK peers: HP",
                [SAY_WANT] = "TIDE_OK : H", /* of a session that has not said HELLO */
                [SAY_LATE] = "TIDE_OK : H",
                [SAY_PAGE] = "TIDE_OK : H",
                [SAY_OTHER] = "TIDE_OK : H",
                [SAY_NEWS] = "TIDE_OK : H",
                [SAY_STRAY] = "TIDE_OK : H"},
    [EXPECTING] = {[SAY_HELLO] = "TIDE_OK peers: HP",
                   [SAY_RIVAL] = "TIDE_OK peers: HP",
                   [SAY_WANT] = "TIDE_OK : H",
                   [SAY_LATE] = "TIDE_OK : H",
                   [SAY_PAGE] = "TIDE_OK : H",
                   [SAY_OTHER] = "TIDE_OK : H",
                   [SAY_NEWS] = "TIDE_OK : H",
                   [SAY_STRAY] = "TIDE_OK : H"},
    [GREETING] = {[SAY_HELLO] = "TIDE_OK peers: PH", /* the first asked for nothing */
                  [SAY_RIVAL] = "TIDE_OK peers: PH",
                  [SAY_WANT] = "TIDE_OK : ",
                  [SAY_LATE] = "TIDE_OK : ",
                  [SAY_PAGE] = "TIDE_OK : ",
                  [SAY_OTHER] = "TIDE_OK : ",
                  [SAY_NEWS] = "TIDE_OK : ",
                  [SAY_STRAY] = "TIDE_OK : "},
    [HEARD] = {[SAY_HELLO] = "TIDE_OK : P", /* the answer to the first HELLO is due in all */
               [SAY_RIVAL] = "TIDE_OK : HP",
               [SAY_WANT] = "TIDE_OK : P",
               [SAY_LATE] = "TIDE_OK : P",
               [SAY_PAGE] = "TIDE_OK item state devices levels followed item_rows mark: PW",
               [SAY_OTHER] = "TIDE_OK : P",
               [SAY_NEWS] = "TIDE_OK : P",
               [SAY_STRAY] = "TIDE_OK : P"},
    [ASKED] = {[SAY_HELLO] = "TIDE_OK : P",
               [SAY_RIVAL] = "TIDE_OK : H", /* which of the two is alive? */
               [SAY_WANT] = "TIDE_OK : P",
               [SAY_LATE] = "TIDE_OK : ",
               [SAY_PAGE] = "TIDE_OK item state levels followed item_rows mark: W",
               [SAY_OTHER] = "TIDE_OK : ",
               [SAY_NEWS] = "TIDE_OK : ",
               [SAY_STRAY] = "TIDE_OK : "},
    [READY] = {[SAY_HELLO] = "TIDE_OK : P",
               [SAY_RIVAL] = "TIDE_OK : H",
               [SAY_WANT] = "TIDE_OK : P",
               [SAY_LATE] = "TIDE_OK : ",
               [SAY_PAGE] = "TIDE_OK : ", /* nobody has asked */
               [SAY_OTHER] = "TIDE_OK : ",
               [SAY_NEWS] = "TIDE_OK : W",
               [SAY_STRAY] = "TIDE_OK : "},
    [PAUSED] = {[SAY_HELLO] = "TIDE_OK : P",
                [SAY_RIVAL] = "TIDE_OK : H",
                [SAY_WANT] = "TIDE_OK : P",
                [SAY_LATE] = "TIDE_OK : ",
                [SAY_PAGE] = "TIDE_OK : ",
                [SAY_OTHER] = "TIDE_OK : ",
                [SAY_NEWS] = "TIDE_OK : ",
                [SAY_STRAY] = "TIDE_OK : "},
    [CLOSED] = {[SAY_HELLO] = "TIDE_ECLOSED : ",
                [SAY_RIVAL] = "TIDE_ECLOSED : ",
                [SAY_WANT] = "TIDE_ECLOSED : ",
                [SAY_LATE] = "TIDE_ECLOSED : ",
                [SAY_PAGE] = "TIDE_ECLOSED : ",
                [SAY_OTHER] = "TIDE_ECLOSED : ",
                [SAY_NEWS] = "TIDE_ECLOSED : ",
                [SAY_STRAY] = "TIDE_ECLOSED : "},
    [RECOVERING] = {[SAY_HELLO] = "TIDE_OK : P", /* which tells to wait */
                    [SAY_RIVAL] = "TIDE_OK : H",
                    [SAY_WANT] = "TIDE_OK : P",
                    [SAY_LATE] = "TIDE_OK : ",
                    [SAY_PAGE] = "TIDE_OK item state levels followed item_rows mark: W",
                    [SAY_OTHER] = "TIDE_OK : ",
                    [SAY_NEWS] = "TIDE_OK : ",
                    [SAY_STRAY] = "TIDE_OK : "},
};

START_TEST(every_kind_in_every_state)
{
    static char text[512];
    snapshot was;
    int rc;

    for (int which = 0; which < WORDS; which++) {
        tear_down();
        remove("2.db");
        set_up();
        become(_i);
        was = snap();
        rc = say(word_of(which));
        snprintf(text, sizeof text, "%s %s: ", tide_code_name(rc), changed(&was));
        if (rc == TIDE_OK)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s", answers());
        ck_assert_str_eq(text, expected[_i][which]);
    }
}
END_TEST

/* ---- every field of every message --------------------------------------------------------------- */

/* Answers that are not TIDE_OK end the session, and nothing was written. */
static void refused(int rc, int code, int64_t version, const tide_mark *before)
{
    tide_mark now = mark();
    const void *bytes;
    size_t size;
    char text[256];

    ck_assert_str_eq(tide_code_name(rc), tide_code_name(code));
    tide_sync_detail(b.sync, text, sizeof text);
    test_require(text[0] != '\0' && strchr(text, '\n') == NULL);
    test_require(version_of_database() == version);
    test_require(now.watermark == before->watermark && now.epoch == before->epoch);
    test_require(sqlite3_get_autocommit(b.db) == 1);
    test_require(tide_session_receive(b.session, "x", 1) == TIDE_ECLOSED);
    test_require(tide_session_next(b.session, &bytes, &size) == TIDE_ECLOSED);
}

/* Where the value at `at` ends. */
static size_t end_of(const unsigned char *p, size_t at)
{
    unsigned char head = p[at];
    size_t items = 0;

    at++;
    if (head >= 0x90 && head <= 0x9f)
        items = head & 0x0f;
    else if (head >= 0xa0 && head <= 0xbf)
        at += head & 0x1f;
    else if (head == 0xc4 || head == 0xd9)
        at += 1 + (size_t)p[at];
    else if (head >= 0xcc && head <= 0xd3)
        at += (size_t)1 << (head & 3);
    else if (head >= 0xca && head <= 0xcb)
        at += head == 0xca ? 4 : 8;
    else
        test_require(head < 0x80 || head >= 0xe0 || head == 0xc0 || head == 0xc2 || head == 0xc3);
    while (items-- > 0)
        at = end_of(p, at);
    return at;
}

/* Where value number `n` begins: an array is followed by what is in it. */
static size_t place_of(const unsigned char *p, size_t n)
{
    size_t at = 0;

    while (n-- > 0)
        at = p[at] >= 0x90 && p[at] <= 0x9f ? at + 1 : end_of(p, at);
    return at;
}

typedef enum type { NIL, BOOLEAN, INTEGER, REAL, TEXT, BLOB, ARRAY, NEVER } type;

/* What is put in the place of a field. NEVER: in no message, wherever it is. */
static const struct value {
    type type;
    bool negative;
    uint64_t number; /* of an integer, as 64 bits; the length of a text or a blob; else 0 */
    const char *bytes;
    size_t size;
} values[] = {
#define VALUE(type, negative, number, bytes)                                                       \
    {                                                                                              \
        type, negative, number, bytes, sizeof(bytes) - 1                                           \
    }
#define N16 "0123456789abcdef"
#define N64 N16 N16 N16 N16
    VALUE(NIL, false, 0, "\xc0"),
    VALUE(BOOLEAN, false, false, "\xc2"),
    VALUE(BOOLEAN, false, true, "\xc3"),
    VALUE(INTEGER, false, 0, "\x00"),
    VALUE(INTEGER, false, 1, "\x01"),
    VALUE(INTEGER, false, 2, "\x02"),
    VALUE(INTEGER, false, 3, "\x03"),
    VALUE(INTEGER, false, 4, "\xd3\0\0\0\0\0\0\0\x04"), /* longer than it need be */
    VALUE(INTEGER, false, 5, "\x05"),
    VALUE(INTEGER, true, (uint64_t)-1, "\xff"),
    VALUE(INTEGER, false, 65536, "\xce\0\x01\0\0"),
    VALUE(INTEGER, false, 65537, "\xce\0\x01\0\x01"),
    VALUE(INTEGER, false, 67108864, "\xce\x04\0\0\0"),
    VALUE(INTEGER, false, 67108865, "\xce\x04\0\0\x01"),
    VALUE(INTEGER, false, UINT32_MAX, "\xce\xff\xff\xff\xff"),
    VALUE(INTEGER, false, UINT32_MAX + UINT64_C(1), "\xcf\0\0\0\x01\0\0\0\0"),
    VALUE(INTEGER, true, (uint64_t)INT64_MIN, "\xd3\x80\0\0\0\0\0\0\0"),
    VALUE(INTEGER, true, (uint64_t)INT64_MIN + 1, "\xd3\x80\0\0\0\0\0\0\x01"),
    VALUE(INTEGER, false, INT64_MAX, "\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"),
    VALUE(INTEGER, false, INT64_MAX + UINT64_C(1), "\xcf\x80\0\0\0\0\0\0\0"),
    VALUE(INTEGER, false, UINT64_MAX, "\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
    VALUE(REAL, false, 0, "\xcb\x3f\xf8\0\0\0\0\0\0"),    /* 1.5 */
    VALUE(REAL, false, 0, "\xcb\x80\0\0\0\0\0\0\0"),      /* -0.0 */
    VALUE(REAL, false, 0, "\xcb\x7f\xf0\0\0\0\0\0\0"),    /* infinite */
    VALUE(REAL, false, true, "\xcb\x7f\xf8\0\0\0\0\0\0"), /* no number */
    VALUE(NEVER, false, 0, "\xca\x3f\xc0\0\0"),           /* 32 bits */
    VALUE(TEXT, false, 0, "\xa0"),
    VALUE(TEXT, false, 1, "\xa1z"),
    VALUE(TEXT, false, 2, "\xa2\xff\0"), /* not UTF-8, and a NUL */
    VALUE(TEXT, false, 64, "\xd9\x40" N64),
    VALUE(TEXT, false, 65, "\xd9\x41" N64 "g"),
    VALUE(TEXT, false, 160, "\xda\0\xa0" N64 N64 N16 N16),
    VALUE(BLOB, false, 0, "\xc4\0"),
    VALUE(BLOB, false, 15,
          "\xc4\x0f"
          "0123456789abcde"),
    VALUE(BLOB, false, 16, "\xc4\x10" N16),
    VALUE(BLOB, false, 17, "\xc5\0\x11" N16 "g"),
    VALUE(ARRAY, false, 0, "\x90"),
    VALUE(ARRAY, false, 1, "\x91\xc0"),
    VALUE(ARRAY, false, 1, "\x91\x90"),
    VALUE(ARRAY, false, 2, "\xdc\0\x02\x05\xa1z"),
    VALUE(NEVER, false, 0, "\x91\x91\x91\x91\x91\x91\x91\x91\x90"),
    VALUE(NEVER, false, 0, "\x80"),                     /* a map */
    VALUE(NEVER, false, 0, "\x81\xa1z\xa1z"),           /* one with something in it */
    VALUE(NEVER, false, 0, "\xd4\x01\x02"),             /* an extension */
    VALUE(NEVER, false, 0, "\xd7\xff\0\0\0\0\0\0\0\0"), /* a time */
    VALUE(NEVER, false, 0, "\xc1"),
    VALUE(NEVER, false, 0, "\xdd\xff\xff\xff\xff"), /* longer than the message */
    VALUE(NEVER, false, 0, "\xdb\xff\xff\xff\xff"),
    VALUE(NEVER, false, 0, "\xc6\xff\xff\xff\xff"),
};

static bool is_int64(const struct value *v)
{
    return v->type == INTEGER && (v->negative || v->number <= INT64_MAX);
}

static bool is_time(const struct value *v)
{
    return is_int64(v) && (int64_t)v->number != NONE;
}

static bool within(const struct value *v, uint64_t least, uint64_t most)
{
    return v->type == INTEGER && !v->negative && v->number >= least && v->number <= most;
}

static bool is_empty(const struct value *v)
{
    return v->type == ARRAY && v->number == 0;
}

static bool is_name(const struct value *v)
{
    return v->type == TEXT && v->number >= 1 && v->number <= TIDE_MODEL_NAME_MAX;
}

static int good(bool it_is)
{
    return it_is ? TIDE_OK : TIDE_EPROTO;
}

static int otherwise(bool it_is, int code)
{
    return it_is ? code : TIDE_EPROTO;
}

/* The fields of a message in their order, one letter each; those of an array follow it. What
 * becomes of a message of this kind that has another value there. */
#define HEAD "(kpLSstt"
#define QUESTION "(#rbhw(maaafdll"
static const char *const fields[] = {[TIDE__HELLO] = HEAD "o(nCccc" QUESTION,
                                     [TIDE__WANT] = HEAD QUESTION,
                                     [TIDE__PAGE] = HEAD "i#HR(NAUW(yvDKVVgxtfe(tttfGqBf",
                                     [TIDE__NEWS] = HEAD};

/* Those that are whole numbers in bounds. */
static const struct {
    char field;
    uint64_t least, most;
} numbers[] = {
    {'p', TIDE__PROTOCOL, TIDE__PROTOCOL},
    {'s', 1, INT64_MAX},
    {'#', 0, UINT32_MAX},
    {'q', 0, UINT64_MAX},
    {'r', 1, 65536},
    {'b', 1, TIDE_MESSAGE_MAX_BYTES},
    {'h', TIDE__HEALTHY, TIDE__RECOVERING},
    {'H', 0, 2},
    {'d', 0, 2},
};

static int answer_to(int kind, char field, const struct value *v)
{
    tide_time upto = TEST_START + 1;

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (field == numbers[i].field)
            return good(within(v, numbers[i].least, numbers[i].most));
    switch (field) {
    case 'k':
        return good(within(v, (uint64_t)kind, (uint64_t)kind));
    case 'L': /* of another library, and of another device */
    case 'S':
        return otherwise(v->type == BLOB && v->number == 16, TIDE_ELIBRARY);
    case 't':
        return good(is_time(v));
    case 'a':
    case 'g':
        return good(v->type == NIL || is_time(v));
    case 'i':
        return good(is_int64(v));
    case 'f':
        return good(v->type == BOOLEAN);
    case 'x': /* a full read of no generation */
    case 'y': /* a deletion with values */
        return good(v->type == BOOLEAN && !v->number);
    case 'o': /* lists that may be empty, */
    case 'R':
    case 'W':
    case 'e':
        return good(is_empty(v));
    case 'w': /* or missing */
        return good(v->type == NIL || is_empty(v));
    case 'G':
        return good(v->type == NIL);
    case 'n': /* a model, or a want, that is none of ours */
    case 'm':
        return good(is_name(v));
    case 'N':
        return otherwise(is_name(v), TIDE_EMODEL);
    case 'C':
        return otherwise(is_empty(v), TIDE_EMODEL);
    case 'c':
        return otherwise(v->type == TEXT, TIDE_EMODEL);
    case 'l': /* one without the other */
        return good(v->type == NIL);
    case 'A':
        return good(v->type == NIL || (is_time(v) && (int64_t)v->number < upto));
    case 'U':
        return good(is_time(v));
    case 'v':
        return is_time(v) && (int64_t)v->number > TEST_START + AHEAD ? TIDE_ECLOCK
                                                                     : good(is_time(v));
    case 'D':
    case 'B':
        return good(v->type == BLOB && v->number == 16);
    case 'K': /* what SQLite would store as NULL is no key */
        return good(is_int64(v) || (v->type == REAL && !v->number) || v->type == TEXT ||
                    v->type == BLOB);
    case 'V':
        return good(v->type == NIL || is_int64(v) || v->type == REAL || v->type == TEXT ||
                    v->type == BLOB);
    default:
        return TIDE_EPROTO;
    }
}

/* Of a page that is taken: whether its row is, too, and where the mark is then. A page for another
 * question, and a range that is no answer to ours, are passed over. */
static bool takes(char field, size_t place, const struct value *v, tide_time *upto)
{
    bool is_number = field == '#' && place == 9;

    *upto = NONE;
    if (field == 's' || field == 'i' || (is_number && v->number != 0) || field == 'R' ||
        (field == 'H' && v->number == TIDE__WAIT) || (field == 'A' && v->type != NIL) ||
        (field == 'g' && v->type != NIL))
        return false;
    *upto = field == 'U' ? (tide_time)v->number : TEST_START + 1;
    return field != 'W';
}

static test_bytes replaced(test_bytes bytes, size_t place, const struct value *v)
{
    size_t begin = place_of(bytes.data, place);
    size_t end = end_of(bytes.data, begin);
    test_bytes copy = {malloc(bytes.length + v->size), begin + v->size + bytes.length - end};

    test_require(copy.data != NULL);
    memcpy(copy.data, bytes.data, begin);
    memcpy(copy.data + begin, v->bytes, v->size);
    memcpy(copy.data + begin + v->size, bytes.data + end, bytes.length - end);
    copy.data = realloc(copy.data, copy.length); /* a sanitizer sees what is read too far */
    test_require(copy.data != NULL);
    return copy;
}

static word usual(int kind)
{
    static char key[32];
    static unsigned keys;
    word w = kind == TIDE__HELLO  ? hello(1)
             : kind == TIDE__WANT ? want(1)
             : kind == TIDE__PAGE ? page(0, NONE, TEST_START + 1, key)
                                  : news();

    (void)snprintf(key, sizeof key, "key %u", keys++);
    w.seen = w.seen_epoch = w.seen_life = kind == TIDE__PAGE ? EPOCH : NONE;
    return w;
}

#define ROWS "SELECT (SELECT count(*) FROM item) + (SELECT count(*) FROM tidemark_parked)"

static void try_value(int kind, size_t place, const struct value *v)
{
    char field = fields[kind][place];
    word w = usual(kind);
    test_bytes plain, bytes;
    int64_t version, rows;
    tide_mark before;
    tide_time upto;
    int rc, code = v->type == NEVER ? TIDE_EPROTO : answer_to(kind, field, v);

    test_marks_set(b.marks, peer, "item", NONE, NONE);
    become(HEARD);
    plain = message(&w);
    if (place == 0 && v == values)
        ck_assert_uint_eq(place_of(plain.data, strlen(fields[kind])), plain.length);
    bytes = replaced(plain, place, v);
    before = mark();
    version = version_of_database();
    rows = test_number(b.db, ROWS);
    rc = test_give(&b, bytes);
    if ((rc != code || getenv("SHOW")))
        fprintf(stderr, "kind %d, field %zu (%c), value %zu: %s not %s\n", kind, place, field,
                (size_t)(v - values), tide_code_name(rc), tide_code_name(code));
    if (code != TIDE_OK) {
        refused(rc, code, version, &before);
    } else {
        bool taken = takes(field, place, v, &upto) && kind == TIDE__PAGE;
        ck_assert_int_eq(rc, TIDE_OK);
        ck_assert_int_eq(test_number(b.db, ROWS), rows + taken);
        ck_assert_int_eq(mark().watermark, kind == TIDE__PAGE ? upto : NONE);
        (void)answers(); /* none of them fails */
    }
    test_drop(&bytes);
    sqlite3_free(NULL);
    free(plain.data);
}

START_TEST(every_field_of_every_type)
{
    size_t count = strlen(fields[_i]);

    for (size_t place = 0; place < count; place++) {
        for (size_t v = place % STEP; v < sizeof values / sizeof *values; v += STEP)
            try_value(_i, place, &values[v]);
    }
}
END_TEST

/* Of what a peer calls a number our table makes a text. Others hear of the text: with the number in
 * its record the row would differ from theirs for ever, and be swept in the next full read. */
START_TEST(a_key_is_recorded_as_it_is_stored)
{
    static const struct value five = VALUE(INTEGER, false, 5, "\x05");
    static const struct value own = VALUE(INTEGER, false, 6, "\x06");
    word w = page(0, NONE, TEST_START + 1, "k");
    test_bytes plain, bytes;

    test_sql(b.db, "INSERT INTO item (uuid) VALUES ('6')");
    w.version = TEST_START + 100;
    for (int i = 0; i < 2; i++) {
        become(HEARD);
        w.after = mark().watermark;
        w.upto = TEST_START + 1 + i;
        plain = message(&w);
        bytes = replaced(plain, (size_t)(strchr(fields[TIDE__PAGE], 'K') - fields[TIDE__PAGE]),
                         i == 0 ? &five : &own);
        ck_assert_int_eq(test_hand(&b, bytes), TIDE_OK);
        free(plain.data);
    }
    test_text_is(b.db, "5 text name|6 text name|own text -",
                 "SELECT r.key, typeof(r.key), t.name FROM tidemark_item_rows r JOIN item t ON "
                 "t.id = r.row ORDER BY 1");
}
END_TEST

/* ---- stamps ------------------------------------------------------------------------------------- */

#define MARK (TEST_START + 100)
#define FAR (TEST_START + INT64_C(1000000000000000000)) /* thirty years */

static const tide_time stamps[] = {NONE,      TIDE_TIME_MIN, -5,           0, MARK - 50, MARK,
                                   MARK + 50, FAR,           TIDE_TIME_MAX};
#define STAMPS (sizeof stamps / sizeof *stamps)

static bool is_here(const char *key)
{
    return test_number(b.db, "SELECT count(*) FROM item WHERE uuid = %Q", key) == 1;
}

static const char *new_key(void)
{
    static char key[32];
    static unsigned keys;

    (void)snprintf(key, sizeof key, "new %u", keys++);
    return key;
}

/* A session that has asked question 0 from MARK, or from nothing. */
static void ask_from(tide_time watermark)
{
    test_marks_set(b.marks, peer, "item", watermark, EPOCH);
    become(HEARD);
}

static void try_range(tide_time after, tide_time upto, tide_time version)
{
    word w = page(0, after, upto, new_key());
    int64_t written;
    tide_mark before;
    int rc, code = version == NONE || upto <= after ? TIDE_EPROTO
                   : version > TEST_START + AHEAD   ? TIDE_ECLOCK
                                                    : TIDE_OK;
    bool joins = after <= MARK && upto > MARK;

    w.version = version;
    ask_from(MARK);
    before = mark();
    written = version_of_database();
    rc = say(w);
    if (code != TIDE_OK) {
        refused(rc, code, written, &before);
    } else {
        ck_assert_int_eq(rc, TIDE_OK);
        ck_assert_int_eq(is_here(w.key), joins);
        ck_assert_int_eq(mark().watermark, joins ? upto : MARK);
        ck_assert_int_eq(mark().epoch, EPOCH);
        (void)answers();
    }
}

/* The range, and the version of its row. */
START_TEST(every_range)
{
    for (size_t i = 0; i < STAMPS; i++) {
        for (size_t j = 0; j < STAMPS; j++) {
            for (size_t k = (i + j) % STEP; k < STAMPS; k += STEP)
                try_range(stamps[i], stamps[j], stamps[k]);
        }
    }
    test_sql(b.db, "UPDATE item SET name = 'still ours' WHERE uuid = 'own'");
    test_text_is(b.db, "1", "SELECT stamp < %lld FROM tidemark_item_rows WHERE key = 'own'",
                 (long long)(TEST_START + AHEAD));
}
END_TEST

/* A mark of another epoch is not compared: the range counts from the beginning of the feed only. */
static void try_epoch(tide_time epoch, tide_time after, tide_time upto)
{
    word w = page(0, after, upto, new_key());
    bool same = epoch == EPOCH;
    bool taken = same ? after <= MARK && upto > MARK : after == NONE;
    tide_mark before;
    int64_t written;

    ask_from(MARK);
    before = mark();
    written = version_of_database();
    w.epoch = epoch;
    if (epoch == NONE || upto <= after) {
        refused(say(w), TIDE_EPROTO, written, &before);
        return;
    }
    ck_assert_int_eq(say(w), TIDE_OK);
    ck_assert_int_eq(is_here(w.key), taken);
    ck_assert_int_eq(mark().watermark, taken ? upto : MARK);
    ck_assert_int_eq(mark().epoch, taken ? epoch : EPOCH);
    (void)answers();
}

START_TEST(every_epoch)
{
    static const tide_time epochs[] = {NONE,      TIDE_TIME_MIN, -5,  0,
                                       EPOCH - 1, EPOCH,         FAR, TIDE_TIME_MAX};

    for (size_t i = 0; i < sizeof epochs / sizeof *epochs; i++) {
        for (size_t j = 0; j < STAMPS; j++) {
            for (size_t k = (i + j) % STEP; k < STAMPS; k += STEP)
                try_epoch(epochs[i], stamps[j], stamps[k]);
        }
    }
}
END_TEST

/* What a page says of its feed and its life does not decide about its rows; what it says that it
 * has seen of a history that is not ours, in words nobody asked for, neither. */
START_TEST(every_head_life_and_level)
{
    for (size_t i = 0; i < STAMPS; i++) {
        for (size_t j = 0; j < STAMPS; j++) {
            word w = page(0, MARK, MARK + 1, new_key());
            tide_time own = test_epoch(&b);
            tide_mark before;
            int64_t written;

            ask_from(MARK);
            before = mark();
            written = version_of_database();
            w.head = stamps[i];
            w.life = stamps[j];
            w.seen = w.seen_life = stamps[i];
            w.seen_epoch = own;
            if (stamps[i] == NONE || stamps[j] == NONE) {
                refused(say(w), TIDE_EPROTO, written, &before);
                continue;
            }
            ck_assert_int_eq(say(w), TIDE_OK);
            ck_assert(is_here(w.key));
            ck_assert_int_eq(mark().watermark, MARK + 1);
            ck_assert_int_eq(test_epoch(&b), own);
            (void)answers();
        }
    }
}
END_TEST

#define GENERATION 77

static void read_is(const char *expected_text)
{
    test_text_is(b.db, expected_text, "SELECT epoch - %lld, generation, upto FROM tidemark_reads",
                 (long long)EPOCH);
}

/* A full read that has not begun, in one page. */
static void try_reading(const word *of)
{
    word w = *of, due = page(0, NONE, NONE, NULL);
    bool begins_anew = w.epoch != EPOCH || w.unknown;
    bool taken = !begins_anew && w.generation == GENERATION && w.after == NONE;

    ask_from(MARK);
    due.rescan = true;
    due.generation = GENERATION;
    ck_assert_int_eq(say(due), TIDE_OK); /* it takes the mark away */
    ck_assert_int_eq(mark().watermark, NONE);
    read_is("0 77 -");
    ck_assert_str_eq(answers(), "PW");
    w.key = w.upto > w.after ? new_key() : NULL;
    if (w.upto < w.after) {
        tide_mark before = mark();
        refused(say(w), TIDE_EPROTO, version_of_database(), &before);
        test_sql(b.db, "DELETE FROM tidemark_reads");
        return;
    }
    ck_assert_int_eq(say(w), TIDE_OK);
    if (w.key != NULL)
        ck_assert_int_eq(is_here(w.key), taken);
    if (begins_anew)
        read_is(w.epoch != EPOCH ? "1 0 -" : "0 0 -");
    else if (!taken || (w.more && w.upto == NONE))
        read_is("0 77 -");
    else if (w.more)
        read_is(w.upto == 6 ? "0 77 6" : "0 77 9223372036854775807");
    else
        read_is("");
    ck_assert_int_eq(mark().watermark, taken && !w.more ? w.upto : NONE);
    test_sql(b.db, "DELETE FROM tidemark_reads");
}

START_TEST(every_full_read)
{
    static const tide_time generations[] = {NONE, -5, 0, 76, 77, 78, TIDE_TIME_MAX};
    static const tide_time afters[] = {NONE, 5, TIDE_TIME_MAX};
    static const tide_time uptos[] = {NONE, 6, TIDE_TIME_MAX};

    for (unsigned i = 0; i < 7 * 3 * 3 * 2 * 2 * 2; i += STEP) {
        word w = page(1, afters[i / 7 % 3], uptos[i / 21 % 3], NULL);
        w.generation = generations[i % 7];
        w.epoch += i / 63 % 2;
        w.unknown = i / 126 % 2 == 1;
        w.more = i / 252 == 1;
        try_reading(&w);
    }
}
END_TEST

/* The peer asks from `after` of our feed, and names what it rests on. That is beyond our head, or
 * not of our history: we have lost something. Else all that it does is to acknowledge our head. */
static void try_want(tide_time after, tide_time epoch, tide_time generation, tide_time life,
                     tide_time head)
{
    word w = want(1);
    tide_time own_epoch = test_epoch(&b);
    tide_time own_life = test_number(b.db, "SELECT life FROM tidemark_state");
    tide_time own_head = test_newest(b.db, "item");
    bool ours = epoch == 1, strange, lost;

    test_marks_set(b.marks, peer, "item", MARK, EPOCH);
    become(HEARD);
    (void)tide_watermarks_delete_acks(test_marks_handle(b.marks), peer);
    w.after = after == 1 ? own_head : after == 2 ? own_head + 1 : after;
    w.want_epoch = ours ? own_epoch : epoch;
    w.generation = generation;
    w.want_life = life == 1 ? own_life : life;
    w.head = life == NONE ? NONE : head;
    strange =
        life != NONE && life > 0 && life != 1; /* what is below all that we know may be ours */
    lost = ours && (strange || (generation == NONE && w.after > own_head));
    ck_assert_int_eq(say(w), TIDE_OK);
    ck_assert_str_eq(answers(), lost ? "PH" : "P");
    ck_assert_int_eq(test_epoch(&b) > own_epoch, lost);
    ck_assert_int_eq(tide_sync_is_recovering(b.sync), lost);
    ck_assert_int_eq(mark().watermark, lost ? NONE : MARK);
    ck_assert_int_eq(ack(), ours && generation == NONE && life == 1 && after == 1 ? own_head : NONE);
    ck_assert_int_eq(tide_sync_accept(b.sync), TIDE_OK);
}

START_TEST(every_want)
{
    static const tide_time afters[] = {NONE, TIDE_TIME_MIN, -5, 0, 1, 2, FAR, TIDE_TIME_MAX};
    static const tide_time epochs[] = {NONE, -5, 0, 1, FAR, TIDE_TIME_MAX};
    static const tide_time lives[] = {NONE, TIDE_TIME_MIN, 0, 1, FAR, TIDE_TIME_MAX};
    static const tide_time heads[] = {TIDE_TIME_MIN, 0, TIDE_TIME_MAX};

    for (unsigned i = 0; i < 8 * 6 * 6 * 3 * 2; i += STEP)
        try_want(afters[i % 8], epochs[i / 8 % 6], i / 864 == 0 ? NONE : 5, lives[i / 48 % 6],
                 heads[i / 288 % 3]);
}
END_TEST

/* ---- what does not count ------------------------------------------------------------------------ */

/* The epoch of a page that is refused is none: what the peer has acknowledged of ours stands. */
START_TEST(a_page_of_a_new_feed_that_is_refused_changes_nothing)
{
    static const int codes[] = {TIDE_ECLOCK, TIDE_EMODEL};
    word w = want(1);
    tide_mark before;
    int64_t written;

    test_marks_set(b.marks, peer, "item", MARK, EPOCH);
    become(HEARD);
    w.after = test_newest(b.db, "item");
    w.want_epoch = test_epoch(&b);
    w.want_life = test_number(b.db, "SELECT life FROM tidemark_state");
    w.head = w.after;
    ck_assert_int_eq(say(w), TIDE_OK);
    ck_assert_str_eq(answers(), "P");
    ck_assert_int_eq(ack(), w.after);
    written = version_of_database();
    before = mark();
    w = page(0, NONE, MARK, "k");
    w.epoch = EPOCH + 1;
    w.version = _i == 0 ? TIDE_TIME_MAX : w.version;
    w.resource = _i == 0 ? "item" : "unknown";
    refused(say(w), codes[_i], written, &before);
    ck_assert_int_eq(ack(), test_newest(b.db, "item"));
}
END_TEST

/* A HELLO of another session counts when that has answered, and its models no sooner. */
START_TEST(the_models_of_a_late_hello_do_not_count)
{
    word w = hello(0);

    become(READY);
    ck_assert_int_eq(tide_session_is_complete(b.session), 0); /* it has nothing of ours yet */
    w.session = RIVAL;
    w.no_models = true;
    ck_assert_int_eq(say(w), TIDE_OK);
    ck_assert_str_eq(answers(), "H");
    w = want(5);
    w.nothing = true;
    ck_assert_int_eq(say(w), TIDE_OK);
    ck_assert_int_eq(say(page(number, mark().watermark, mark().watermark, NULL)), TIDE_OK);
    ck_assert_int_eq(tide_session_state(b.session), TIDE_READY);
    ck_assert_int_eq(tide_session_is_complete(b.session), 0);
}
END_TEST

/* ---- growth ------------------------------------------------------------------------------------- */

#define MANY 1000
#define SOME 50

static int64_t rows_of(const char *table)
{
    return test_number(b.db, "SELECT count(*) FROM \"tidemark_%w\"", table);
}

/* Those that say no more than HELLO leave nothing, and those that also answer nothing but that. */
START_TEST(many_sessions_of_a_peer_leave_nothing)
{
    snapshot was;

    become(READY);
    was = snap();
    for (int i = 0; i < MANY; i++) {
        word w = hello(0);
        w.session = RIVAL + i;
        ck_assert_int_eq(say(w), TIDE_OK);
        ck_assert_str_eq(answers(), "H");
        if (i % 2 == 0)
            continue;
        w = page(number, mark().watermark, mark().watermark, NULL);
        w.session = RIVAL + i;
        ck_assert_int_eq(say(w), TIDE_OK);
        ck_assert_str_eq(answers(), "P");
    }
    ck_assert_str_eq(changed(&was), "");
}
END_TEST

/* One row for each peer. */
START_TEST(many_peers_are_registered_once)
{
    for (int i = 0; i < 2 * SOME; i++) {
        test_uuid(peer, (uint64_t)(100 + i % SOME));
        become(HEARD);
        ck_assert_str_eq(answers(), "P");
    }
    ck_assert_int_eq(rows_of("peers"), SOME);
    ck_assert_int_eq(rows_of("devices"), 1);
    ck_assert_int_eq(rows_of("followed") + rows_of("levels") + rows_of("reads"), 0);
}
END_TEST

/* One for each maker of a row, however often it is named; in time that grows with them. */
START_TEST(many_makers_of_rows_are_kept_once)
{
    word w = page(0, NONE, TEST_START + 1, "k");

    w.maker = 1000;
    w.more_rows = MANY - 1;
    become(HEARD);
    for (int i = 0; i < 2; i++) {
        (void)answers();
        w.number = number;
        w.version += i;
        w.upto += i;
        ck_assert_int_eq(say(w), TIDE_OK);
        ck_assert_int_eq(rows_of("item_rows"), 1 + MANY);
        ck_assert_int_eq(rows_of("devices"), 2 + MANY); /* we, and the peer's feed */
    }
    test_text_is(b.db, "1", "SELECT count(*) = max(id) + 1 FROM tidemark_devices");
    test_text_is(b.db, "1000",
                 "SELECT count(*) FROM tidemark_item_rows r JOIN tidemark_devices d ON "
                 "d.id = r.device WHERE d.life = 0 AND r.key LIKE 'k%%'");
}
END_TEST

/* Of lives and epochs of the peer the last are kept, and of the numbers of its followings those
 * that a row has, and one more. */
START_TEST(many_lives_and_epochs_of_a_peer)
{
    become(HEARD);
    (void)answers();
    for (int i = 0; i < SOME; i++) {
        word w = page(number, NONE, TEST_START + 1, "k");
        w.life += i;
        w.epoch += i;
        w.unknown = true;
        ck_assert_int_eq(say(w), TIDE_OK);
        ck_assert_str_eq(answers(), "W");
    }
    ck_assert_int_eq(rows_of("devices"), 2 + 2);
    ck_assert_int_eq(rows_of("levels"), TIDE__LEVELS_MAX);
    ck_assert_int_eq(rows_of("followed"), 1);
    ck_assert_int_eq(rows_of("peers"), 1);
    ck_assert_int_eq(mark().epoch, EPOCH + SOME - 1);
}
END_TEST

/* A full read that begins anew forgets what the last one has listed. */
START_TEST(many_full_reads_are_one)
{
    become(HEARD);
    (void)answers();
    for (int i = 0; i < SOME; i++) {
        word due = page(number, NONE, NONE, NULL), w;
        due.rescan = true;
        due.generation = 1 + i;
        due.seen = TIDE_TIME_MAX;
        due.seen_epoch = test_epoch(&b);
        due.seen_life = test_number(b.db, "SELECT life FROM tidemark_state");
        ck_assert_int_eq(say(due), TIDE_OK);
        ck_assert_str_eq(answers(), "W");
        w = page(number, NONE, TEST_START + 1, new_key());
        w.generation = 1 + i;
        w.more = true;
        ck_assert_int_eq(say(w), TIDE_OK);
        ck_assert_str_eq(answers(), "W");
        ck_assert_int_eq(rows_of("listed"), 1);
    }
    ck_assert_int_eq(rows_of("reads"), 1);
    ck_assert_int_eq(rows_of("devices"), 3);
    test_text_is(b.db, "1", "SELECT count(*) FROM item WHERE uuid = 'own'"); /* none has ended */
}
END_TEST

/* Each makes us begin anew. The epochs of the past are kept, one number each. */
START_TEST(many_questions_from_beyond_our_head)
{
    become(READY);
    for (int i = 0; i < SOME; i++) {
        word w = want(2 + (uint32_t)i);
        w.after = TIDE_TIME_MAX;
        w.want_epoch = test_epoch(&b);
        w.health = TIDE__RECOVERING; /* another would be told to wait */
        ck_assert_int_eq(say(w), TIDE_OK);
        ck_assert_str_eq(answers(), "PW");
    }
    ck_assert_int_eq(rows_of("epochs"), SOME);
    ck_assert_int_eq(rows_of("lives"), 2 * SOME); /* of two resources; 1000 are kept */
    test_text_is(b.db, "own -", "SELECT uuid, name FROM item WHERE uuid = 'own'");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync/hostile");
    TCase *test = test_case(suite, "hostile");

    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_loop_test(test, every_kind_in_every_state, 0, STATES);
    tcase_add_loop_test(test, every_field_of_every_type, TIDE__HELLO, TIDE__NEWS + 1);
    tcase_add_test(test, a_key_is_recorded_as_it_is_stored);
    tcase_add_test(test, every_range);
    tcase_add_test(test, every_epoch);
    tcase_add_test(test, every_head_life_and_level);
    tcase_add_test(test, every_full_read);
    tcase_add_test(test, every_want);
    tcase_add_loop_test(test, a_page_of_a_new_feed_that_is_refused_changes_nothing, 0, 2);
    tcase_add_test(test, the_models_of_a_late_hello_do_not_count);
    tcase_add_test(test, many_sessions_of_a_peer_leave_nothing);
    tcase_add_test(test, many_peers_are_registered_once);
    tcase_add_test(test, many_makers_of_rows_are_kept_once);
    tcase_add_test(test, many_lives_and_epochs_of_a_peer);
    tcase_add_test(test, many_full_reads_are_one);
    tcase_add_test(test, many_questions_from_beyond_our_head);
    return test_run(suite);
}
