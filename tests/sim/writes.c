/* writes.c - what applications do to their rows, as SQL; see writes.h. */
#include "writes.h"

#include <stdio.h>
#include <string.h>

#include "world.h"

#define SQL_BYTES 512

/* A value that no other statement writes, sometimes a long one. */
static void write_value(sim_random *random, char *out, size_t size)
{
    uint64_t number = sim_below(random, 1u << 20);
    if (sim_below(random, 12) == 0) {
        (void)snprintf(out, size, "'v%05llx' || hex(zeroblob(%llu))", (unsigned long long)number,
                       (unsigned long long)sim_below(random, 700));
    } else {
        (void)snprintf(out, size, "'v%05llx'", (unsigned long long)number);
    }
}

static void write_upsert(int r, const char *key, sim_random *random, char *out, size_t size)
{
    static const char *const colors[] = {"NULL", "12", "1.5", "'red'", "x'00ff'", "''", "x''"};
    char value[64];
    char more[64];
    write_value(random, value, sizeof value);
    const char *verb = sim_below(random, 5) == 0 ? "INSERT OR REPLACE" : "INSERT";
    const char *conflict = "";
    if (verb[6] == '\0') {
        conflict = r == ENTRY      ? " ON CONFLICT (uuid) DO UPDATE SET name = excluded.name, "
                                     "size = excluded.size, kind = excluded.kind"
                   : r == LOCATION ? " ON CONFLICT (uuid) DO UPDATE SET name = excluded.name, "
                                     "path = excluded.path"
                                   : " ON CONFLICT (uuid) DO UPDATE SET name = excluded.name, "
                                     "color = excluded.color";
    }
    if (r == ENTRY) {
        (void)snprintf(more, sizeof more, "%llu, 'file'",
                       (unsigned long long)sim_below(random, 1000));
    } else {
        (void)snprintf(more, sizeof more, "%s",
                       r == LOCATION ? "'/p'" : colors[sim_below(random, 7)]);
    }
    (void)snprintf(out, size, "%s INTO %s (uuid, %s) VALUES ('%s', %s, %s)%s", verb,
                   resources[r].table, resources[r].columns, key, value, more, conflict);
}

static void write_rekey(sim_random *random, char *out, size_t size)
{
    char from[UUID_STR_LEN];
    char to[UUID_STR_LEN];
    key_text(TAG, (int)sim_below(random, (uint64_t)resources[TAG].keys), from);
    key_text(TAG, (int)sim_below(random, (uint64_t)resources[TAG].keys), to);
    (void)snprintf(out, size, "UPDATE OR %s tags SET uuid = '%s' WHERE uuid = '%s'",
                   sim_below(random, 2) == 0 ? "IGNORE" : "REPLACE", to, from);
}

void writes_one(int resource_count, int owner, sim_random *random, char *out, size_t size)
{
    char key[UUID_STR_LEN];
    char value[64];
    uint64_t which = sim_below(random, 20);
    int r = which < 8 ? ENTRY : which < 11 ? LOCATION : which < 19 ? TAG : DEVICE;
    r = r < resource_count ? r : ENTRY;
    uint64_t own = (uint64_t)resources[r].own_keys;
    int k = own == 0 ? (int)sim_below(random, (uint64_t)resources[r].keys)
                     : owner * (int)own + (int)sim_below(random, own);
    uint64_t what = sim_below(random, 10);
    key_text(r, k, key);
    if (r == TAG && what == 9) {
        write_rekey(random, out, size);
    } else if (r != DEVICE && what < 5) {
        write_upsert(r, key, random, out, size);
    } else if (r != DEVICE && what < 8) {
        (void)snprintf(out, size, "DELETE FROM %s WHERE uuid = '%s'", resources[r].table, key);
    } else {
        write_value(random, value, sizeof value);
        (void)snprintf(out, size, "UPDATE %s SET %s = %s WHERE uuid = '%s'", resources[r].table,
                       resources[r].title, value, key);
    }
}

void writes_several(int resource_count, int owner, sim_random *random, char *out, size_t size)
{
    char sql[SQL_BYTES];
    uint64_t count = 2 + sim_below(random, 3);
    bool back = sim_below(random, 8) == 0;
    (void)snprintf(out, size, "BEGIN");
    for (uint64_t i = 0; i < count; i++) {
        writes_one(resource_count, owner, random, sql, sizeof sql);
        (void)snprintf(out + strlen(out), size - strlen(out), "; %s", sql);
    }
    (void)snprintf(out + strlen(out), size - strlen(out), "; %s", back ? "ROLLBACK" : "COMMIT");
}
