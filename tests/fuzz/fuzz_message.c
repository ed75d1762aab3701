/* fuzz_message.c - the decoder of messages. What is decoded is encoded and decoded again, and comes
 * out as the same bytes (MessagePack has several forms for one number, so the first may differ). No
 * count in a message may ask for more memory than the message is long: libFuzzer ends the run at an
 * allocation above the limit that scripts/fuzz sets. */
#include "fuzz/fuzz.h"

#include "sync/message.h"

#define VALUES 2 /* a row of the model that is assumed */

static void pack_rows(msgpack_packer *p, const tide__range *range)
{
    tide_change row;
    tide_value values[VALUES];
    size_t good = 0;
    for (size_t i = 0; i < range->rows->size; i++) {
        good += tide__message_row(range, i, VALUES, &row, values) == TIDE_OK;
    }
    (void)msgpack_pack_array(p, good);
    for (size_t i = 0; i < range->rows->size; i++) {
        if (tide__message_row(range, i, VALUES, &row, values) != TIDE_OK) {
            continue;
        }
        fuzz_require(row.value_count == (row.deleted ? 0 : VALUES) && row.key.type != TIDE_NULL);
        (void)msgpack_pack_array(p, 4 + row.value_count);
        tide__pack_bool(p, row.deleted != 0);
        tide__pack_time(p, row.version);
        tide__pack_bytes(p, row.version_device, sizeof(uuid_t));
        tide__pack_value(p, &row.key);
        for (size_t v = 0; v < row.value_count; v++) {
            tide__pack_value(p, &row.values[v]);
        }
    }
}

static void pack_offers(msgpack_packer *p, const tide__message *m)
{
    (void)msgpack_pack_array(p, m->offer_count);
    for (size_t i = 0; i < m->offer_count; i++) {
        const tide__offer *offer = &m->offers[i];
        (void)msgpack_pack_array(p, 2);
        tide__pack_text(p, offer->resource.text, offer->resource.length);
        (void)msgpack_pack_array(p, offer->columns->size);
        for (size_t c = 0; c < offer->columns->size; c++) {
            const msgpack_object_str *name = &offer->columns->ptr[c].via.str;
            tide__pack_text(p, name->ptr, name->size);
        }
    }
}

static void pack_message(tide__buffer *out, const tide__message *m)
{
    static const size_t fields[] = {0, 2, 1, 5, 0};
    msgpack_packer p;
    tide__packer(out, &p);
    fuzz_require(m->kind >= TIDE__HELLO && m->kind <= TIDE__NEWS);
    tide__pack_head(&p, m->kind, fields[m->kind], m->library, m->from, m->session, m->epoch,
                    m->life);
    if (m->kind == TIDE__HELLO) {
        pack_offers(&p, m);
    }
    if (m->kind == TIDE__HELLO || m->kind == TIDE__WANT) {
        tide__pack_question(&p, &m->question);
    }
    if (m->kind == TIDE__PAGE) {
        (void)msgpack_pack_int64(&p, m->to_session);
        (void)msgpack_pack_uint32(&p, m->number);
        (void)msgpack_pack_uint32(&p, m->health);
        (void)msgpack_pack_array(&p, m->range_count);
        for (size_t i = 0; i < m->range_count; i++) {
            tide__pack_range(&p, &m->ranges[i]);
            pack_rows(&p, &m->ranges[i]);
            tide__pack_range_end(&p, &m->ranges[i]);
        }
        tide__pack_bool(&p, m->end);
    }
    fuzz_require(!out->failed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static tide__message message;
    tide__detail detail;
    tide__buffer first = {NULL, 0, 0, false};
    tide__buffer second = {NULL, 0, 0, false};
    int rc = tide__message_decode(&message, data, size, &detail);
    fuzz_require(rc == TIDE_OK || rc == TIDE_EPROTO || rc == TIDE_ELIMIT);
    if (rc != TIDE_OK) {
        return 0;
    }
    pack_message(&first, &message);
    tide__message_free(&message);
    fuzz_require(tide__message_decode(&message, first.bytes, first.size, &detail) == TIDE_OK);
    pack_message(&second, &message);
    tide__message_free(&message);
    fuzz_require(first.size == second.size && memcmp(first.bytes, second.bytes, first.size) == 0);
    tide__buffer_free(&first);
    tide__buffer_free(&second);
    return 0;
}
