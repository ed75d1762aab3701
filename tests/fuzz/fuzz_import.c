/* fuzz_import.c - a file for `tidemark import`: JSON Lines, or the database of another program with
 * bytes of it changed; into a new store, or into one that has a mark. What must hold:
 *
 * - A file that is refused has made no store, and changed no mark.
 * - Of one that is taken each mark of the store is of the file or was there; and what the store
 * then exports, imported again, changes nothing. */
#include "fuzz/fuzz_cli.h"

#include <inttypes.h>
#include <sqlite3.h>

#define STORE "s.mdb"
#define LOCK "s.mdb-lock"
#define DATABASE "sync.db"
#define ANSWER_MAX 128

#define ONE                                                                                        \
    "{\"device\": \"4f2c6a52-65cf-4d63-a4ee-7d1ff6ed8a0f\", "                                      \
    "\"peer\": \"d0a2c1de-3a55-4c3b-8b0e-0f8f1a3f5a11\", \"resource\": \"entry\", "                \
    "\"watermark\": \"2026-01-02T03:04:05.000000006Z\", "                                          \
    "\"updated_at\": \"2026-01-02T03:04:05.000000006Z\", \"epoch\": null}\n"

/* A database as the plan of other programs has it, in small pages. */
static unsigned char *database;
static size_t database_size;

static void make_database(void)
{
    static const char sql[] =
        "PRAGMA page_size = 512;"
        "CREATE TABLE device_resource_watermarks (device_uuid TEXT NOT NULL, peer_device_uuid TEXT "
        "NOT NULL, resource_type TEXT NOT NULL, last_watermark TEXT NOT NULL, updated_at TEXT NOT "
        "NULL, PRIMARY KEY (device_uuid, peer_device_uuid, resource_type));"
        "CREATE TABLE device_resource_watermark_epochs (device_uuid TEXT, peer_device_uuid TEXT, "
        "resource_type TEXT, epoch TEXT);"
        "INSERT INTO device_resource_watermarks VALUES "
        "('4f2c6a52-65cf-4d63-a4ee-7d1ff6ed8a0f', 'd0a2c1de-3a55-4c3b-8b0e-0f8f1a3f5a11', 'entry', "
        "'2026-01-02T03:04:05.000000006Z', '2026-01-02T03:04:05Z'), "
        "('4f2c6a52-65cf-4d63-a4ee-7d1ff6ed8a0f', 'd0a2c1de-3a55-4c3b-8b0e-0f8f1a3f5a11', 'tag', "
        "'2026-01-02T03:04:05+01:00', '2026-01-02T03:04:05Z');"
        "INSERT INTO device_resource_watermark_epochs VALUES "
        "('4f2c6a52-65cf-4d63-a4ee-7d1ff6ed8a0f', 'd0a2c1de-3a55-4c3b-8b0e-0f8f1a3f5a11', 'entry', "
        "'2025-01-01T00:00:00Z')";
    sqlite3 *db = NULL;
    fuzz_require(sqlite3_open(":memory:", &db) == SQLITE_OK);
    fuzz_require(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_int64 size = 0;
    database = sqlite3_serialize(db, "main", &size, 0);
    fuzz_require(database != NULL && size > 0);
    database_size = (size_t)size;
    sqlite3_close(db);
}

static void write_database(fuzz_input *input)
{
    unsigned char *changed = malloc(database_size);
    fuzz_require(changed != NULL);
    memcpy(changed, database, database_size);
    while (input->left > 0) {
        size_t place = fuzz_number(input, 2) % database_size;
        size_t length = 0;
        const uint8_t *bytes = fuzz_bytes(input, 1 + fuzz_below(input, 16), &length);
        length = length < database_size - place ? length : database_size - place;
        memcpy(changed + place, bytes, length);
    }
    fuzz_write_file(DATABASE, changed, database_size);
    free(changed);
}

/* Of `path`, or of `text`, which stands on standard input. */
static int import(const char *path, const char *text, size_t size, char answer[ANSWER_MAX])
{
    cli_call call = {.command = &cli_command_import, .operands = {STORE, path}};
    size_t length = 0;
    int rc = 0;
    call.operand_count = path == NULL ? 1 : 2;
    char *answers = fuzz_answers(&call, text, size, &length, &rc);
    fuzz_require(length < ANSWER_MAX);
    memcpy(answer, answers, length + 1);
    free(answers);
    fuzz_require((rc == CLI_YES) == (length > 0) && (rc == CLI_YES) == (call.message[0] == '\0'));
    return rc;
}

/* To be freed; NULL: there is no store. */
static char *marks_of_store(size_t *size)
{
    cli_call call = {.command = &cli_command_export, .operands = {STORE}, .operand_count = 1};
    int rc = 0;
    *size = 0;
    if (access(STORE, F_OK) != 0) {
        return NULL;
    }
    char *marks = fuzz_answers(&call, "", 0, size, &rc);
    fuzz_require(rc == CLI_YES);
    return marks;
}

/* A store that has one mark, and what it exports. */
static uint8_t *store;
static size_t store_size;
static char *store_marks;
static size_t store_marks_size;

static void remove_store(void)
{
    (void)unlink(STORE);
    (void)unlink(LOCK);
}

static void make_store(void)
{
    char answer[ANSWER_MAX];
    remove_store();
    fuzz_require(import(NULL, ONE, strlen(ONE), answer) == CLI_YES);
    store_marks = marks_of_store(&store_marks_size);
    store = fuzz_read_file(STORE, &store_size);
}

static uint64_t count_lines(const char *text)
{
    uint64_t lines = 0;
    for (; (text = strchr(text, '\n')) != NULL; text++) {
        lines++;
    }
    return lines;
}

/* What was taken: the counts of the answer are right, and a second time there is nothing to do. */
static void check_taken(const char *answer, uint64_t before)
{
    char again[ANSWER_MAX];
    char expected[ANSWER_MAX];
    uint64_t added = 0;
    size_t size = 0;
    char *marks = marks_of_store(&size);
    fuzz_require(marks != NULL && sscanf(answer, "added %" SCNu64, &added) == 1);
    uint64_t count = count_lines(marks);
    fuzz_require(count == before + added);
    fuzz_require(import(NULL, marks, size, again) == CLI_YES);
    (void)snprintf(expected, sizeof expected, "added 0, raised 0, equal %" PRIu64 ", kept 0\n",
                   count);
    fuzz_require(strcmp(again, expected) == 0);
    free(marks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = {data, size};
    char answer[ANSWER_MAX];
    size_t after_size = 0;
    uint32_t choice = fuzz_below(&input, 16);
    bool of_sqlite = choice % 4 == 3;
    if (database == NULL) {
        make_database();
        make_store();
    }
    bool is_there = choice / 4 == 3;
    remove_store();
    if (is_there) {
        fuzz_write_file(STORE, store, store_size);
    }
    if (of_sqlite) {
        write_database(&input);
    }
    int rc = import(of_sqlite ? DATABASE : NULL, (const char *)input.at, input.left, answer);
    fuzz_require(rc == CLI_YES || rc == CLI_CORRUPT || (rc == CLI_FAILURE && of_sqlite));
    if (rc == CLI_YES) {
        check_taken(answer, is_there ? 1 : 0);
    } else {
        char *after = marks_of_store(&after_size);
        fuzz_require((after != NULL) == is_there);
        fuzz_require(after == NULL || (after_size == store_marks_size &&
                                       memcmp(after, store_marks, after_size) == 0));
        free(after);
    }
    return 0;
}
