/* message.c - the four messages; see message.h. */
#include "sync/message.h"

#include <math.h>
#include <string.h>

#define HEAD_FIELDS 7
#define DEPTH_MAX 8

/* ---- measuring ---------------------------------------------------------------------------------- */

/* What one MessagePack head says: bytes of the head, bytes of the payload, items inside. */
typedef struct head {
    size_t head;
    uint64_t payload;
    uint64_t items;
    bool container;
} head;

static uint64_t big_endian(const unsigned char *p, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value = value << 8 | p[i];
    }
    return value;
}

/* Reads a head whose length field has `width` bytes; false if the message ends before. */
static bool sized(const unsigned char *p, size_t left, size_t width, uint64_t *value)
{
    if (left < 1 + width) {
        return false;
    }
    *value = big_endian(p + 1, width);
    return true;
}

/* https://github.com/msgpack/msgpack/blob/master/spec.md, "Formats". Only what our messages are
 * made of. */
static bool read_head(const unsigned char *p, size_t left, head *h)
{
    unsigned char b = p[0];
    uint64_t n = 0;
    *h = (head){1, 0, 0, false};
    if (b <= 0x7f || b >= 0xe0 || b == 0xc0 || b == 0xc2 || b == 0xc3) {
        return true; /* small integers, nil, false, true */
    }
    if (b >= 0x90 && b <= 0x9f) {
        h->items = b & 0x0f;
        h->container = true;
        return true;
    }
    if (b >= 0xa0 && b <= 0xbf) {
        h->payload = b & 0x1f;
        return true;
    }
    if (b >= 0xca && b <= 0xd3) {
        static const unsigned char widths[] = {4, 8, 1, 2, 4, 8, 1, 2, 4, 8}; /* ca to d3 */
        h->payload = widths[b - 0xca];
        return true;
    }
    if (b >= 0xc4 && b <= 0xc6) { /* bin 8, 16, 32 */
        size_t width = (size_t)1 << (b - 0xc4);
        h->head += width;
        return sized(p, left, width, &h->payload);
    }
    if (b >= 0xd9 && b <= 0xdb) { /* str 8, 16, 32 */
        size_t width = (size_t)1 << (b - 0xd9);
        h->head += width;
        return sized(p, left, width, &h->payload);
    }
    if (b == 0xdc || b == 0xdd) { /* array 16, 32 */
        size_t width = b == 0xdc ? 2 : 4;
        h->head += width;
        h->container = true;
        if (!sized(p, left, width, &n)) {
            return false;
        }
        h->items = n;
        return true;
    }
    return false; /* maps, extensions and 0xc1 are in no message */
}

/* Whether the bytes are exactly one value, nested no deeper than ours, each count backed by bytes. */
static bool measured(const unsigned char *p, size_t size)
{
    uint64_t open[DEPTH_MAX]; /* items still due at each depth */
    size_t depth = 0;
    size_t at = 0;
    size_t items = 0;
    open[0] = 1;
    for (;;) {
        while (open[depth] == 0) {
            if (depth == 0) {
                return at == size;
            }
            depth--;
        }
        head h;
        open[depth]--;
        if (++items > TIDE__ITEMS_MAX || at >= size || !read_head(p + at, size - at, &h) ||
            size - at < h.head || size - at - h.head < h.payload + h.items) {
            return false;
        }
        at += h.head + (size_t)h.payload;
        if (h.container) {
            if (++depth == DEPTH_MAX) {
                return false;
            }
            open[depth] = h.items;
        }
    }
}

/* ---- fields ------------------------------------------------------------------------------------- */

static const msgpack_object_array *array_of(const msgpack_object *o)
{
    return o->type == MSGPACK_OBJECT_ARRAY ? &o->via.array : NULL;
}

static bool get_uint32(const msgpack_object *o, uint32_t least, uint32_t most, uint32_t *out)
{
    if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER || o->via.u64 < least || o->via.u64 > most) {
        return false;
    }
    *out = (uint32_t)o->via.u64;
    return true;
}

/* nil is TIDE_TIME_NONE, and only nil is. */
static bool get_time(const msgpack_object *o, tide_time *out)
{
    if (o->type == MSGPACK_OBJECT_NIL) {
        *out = TIDE_TIME_NONE;
        return true;
    }
    return tide__get_integer(o, out) && *out != TIDE_TIME_NONE;
}

static bool get_bool(const msgpack_object *o, bool *out)
{
    *out = o->type == MSGPACK_OBJECT_BOOLEAN && o->via.boolean;
    return o->type == MSGPACK_OBJECT_BOOLEAN;
}

static bool get_uuid(const msgpack_object *o, uuid_t out)
{
    if (o->type != MSGPACK_OBJECT_BIN || o->via.bin.size != sizeof(uuid_t)) {
        return false;
    }
    memcpy(out, o->via.bin.ptr, sizeof(uuid_t));
    return true;
}

static bool get_resource(const msgpack_object *o, tide__name *out)
{
    if (o->type != MSGPACK_OBJECT_STR || o->via.str.size == 0 ||
        o->via.str.size > TIDE_MODEL_NAME_MAX) {
        return false;
    }
    *out = (tide__name){o->via.str.ptr, o->via.str.size};
    return true;
}

/* Whether no two items of a list, whose first fields are resources, name the same. */
static bool each_once(const msgpack_object_array *list)
{
    for (size_t i = 1; i < list->size; i++) {
        const msgpack_object_str *name = &list->ptr[i].via.array.ptr[0].via.str;
        for (size_t j = 0; j < i; j++) {
            const msgpack_object_str *earlier = &list->ptr[j].via.array.ptr[0].via.str;
            if (name->size == earlier->size && memcmp(name->ptr, earlier->ptr, name->size) == 0) {
                return false;
            }
        }
    }
    return true;
}

/* ---- bodies ------------------------------------------------------------------------------------- */

static bool get_question(const msgpack_object *o, tide__question *out)
{
    const msgpack_object_array *a = array_of(o);
    if (a == NULL || a->size != 5 || !get_uint32(&a->ptr[0], 0, UINT32_MAX, &out->number) ||
        !get_uint32(&a->ptr[1], 1, 65536, &out->rows) ||
        !get_uint32(&a->ptr[2], 1, TIDE_MESSAGE_MAX_BYTES, &out->bytes) ||
        !get_uint32(&a->ptr[3], TIDE__HEALTHY, TIDE__RECOVERING, &out->health)) {
        return false;
    }
    out->wanting = a->ptr[4].type != MSGPACK_OBJECT_NIL;
    if (!out->wanting) {
        return true;
    }
    const msgpack_object_array *wants = array_of(&a->ptr[4]);
    if (wants == NULL || wants->size > TIDE_MODELS_MAX) {
        return false;
    }
    out->count = wants->size;
    for (size_t i = 0; i < out->count; i++) {
        const msgpack_object_array *w = array_of(&wants->ptr[i]);
        tide__want *want = &out->wants[i];
        if (w == NULL || w->size != 8 || !get_resource(&w->ptr[0], &want->resource) ||
            !get_time(&w->ptr[1], &want->after) || !get_time(&w->ptr[2], &want->epoch) ||
            !get_time(&w->ptr[3], &want->generation) || !get_bool(&w->ptr[4], &want->all) ||
            !get_uint32(&w->ptr[5], 0, TIDE__DOUBT_MAX, &want->doubt) ||
            !get_time(&w->ptr[6], &want->life) || !get_time(&w->ptr[7], &want->head) ||
            (want->life == TIDE_TIME_NONE) != (want->head == TIDE_TIME_NONE)) {
            return false;
        }
    }
    return each_once(wants);
}

static bool get_offers(const msgpack_object *o, tide__message *out)
{
    const msgpack_object_array *models = array_of(o);
    if (models == NULL || models->size > TIDE_MODELS_MAX) {
        return false;
    }
    out->offer_count = models->size;
    for (size_t i = 0; i < out->offer_count; i++) {
        const msgpack_object_array *m = array_of(&models->ptr[i]);
        const msgpack_object_array *columns =
            m == NULL || m->size != 2 ? NULL : array_of(&m->ptr[1]);
        if (columns == NULL || columns->size > TIDE_COLUMNS_MAX + 1 ||
            !get_resource(&m->ptr[0], &out->offers[i].resource)) {
            return false;
        }
        for (size_t j = 0; j < columns->size; j++) {
            if (columns->ptr[j].type != MSGPACK_OBJECT_STR) {
                return false;
            }
        }
        out->offers[i].columns = columns;
    }
    return each_once(models);
}

/* A time that must be there. */
static bool get_a_time(const msgpack_object *o, tide_time *out)
{
    return get_time(o, out) && *out != TIDE_TIME_NONE;
}

static bool get_seen(const msgpack_object *o, tide__range *out)
{
    const msgpack_object_array *levels = array_of(o);
    if (levels == NULL || levels->size > TIDE__LEVELS_MAX) {
        return false;
    }
    out->seen_count = levels->size;
    for (size_t i = 0; i < out->seen_count; i++) {
        const msgpack_object_array *a = array_of(&levels->ptr[i]);
        tide__level *level = &out->seen[i];
        if (a == NULL || a->size != 3 || !get_a_time(&a->ptr[0], &level->stamp) ||
            !get_a_time(&a->ptr[1], &level->epoch) || !get_a_time(&a->ptr[2], &level->life)) {
            return false;
        }
    }
    return true;
}

static bool get_digest(const msgpack_object *o, tide__range *out)
{
    out->summed = o->type != MSGPACK_OBJECT_NIL;
    if (!out->summed) {
        return true;
    }
    const msgpack_object_array *a = array_of(o);
    if (a == NULL || a->size != 2 || a->ptr[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
        a->ptr[1].type != MSGPACK_OBJECT_BIN || a->ptr[1].via.bin.size != TIDE__DIGEST_BYTES) {
        return false;
    }
    out->digest.count = a->ptr[0].via.u64;
    tide__digest_unpack(&out->digest, (const unsigned char *)a->ptr[1].via.bin.ptr);
    return true;
}

static bool get_ranges(const msgpack_object *o, tide__message *out)
{
    const msgpack_object_array *ranges = array_of(o);
    if (ranges == NULL || ranges->size > TIDE_MODELS_MAX) {
        return false;
    }
    out->range_count = ranges->size;
    for (size_t i = 0; i < out->range_count; i++) {
        const msgpack_object_array *r = array_of(&ranges->ptr[i]);
        tide__range *range = &out->ranges[i];
        if (r == NULL || r->size != 11 || !get_resource(&r->ptr[0], &range->resource) ||
            !get_time(&r->ptr[1], &range->after) || !get_time(&r->ptr[2], &range->upto) ||
            !get_time(&r->ptr[4], &range->generation) || !get_bool(&r->ptr[5], &range->rescan) ||
            !get_a_time(&r->ptr[6], &range->head) || !get_bool(&r->ptr[7], &range->known) ||
            !get_seen(&r->ptr[8], range) || !get_bool(&r->ptr[9], &range->doubts) ||
            !get_digest(&r->ptr[10], range)) {
            return false;
        }
        range->rows = array_of(&r->ptr[3]);
        /* Rows lie in the range, so there are none where it is empty. */
        if (range->rows == NULL || range->upto < range->after ||
            (range->upto == range->after && range->rows->size > 0) ||
            (range->rescan && range->generation == TIDE_TIME_NONE)) {
            return false;
        }
    }
    return each_once(ranges);
}

static bool get_body(const msgpack_object_array *fields, tide__message *out)
{
    const msgpack_object *body = fields->ptr + HEAD_FIELDS;
    size_t count = fields->size - HEAD_FIELDS;
    switch (out->kind) {
    case TIDE__HELLO:
        return count == 2 && get_offers(&body[0], out) && get_question(&body[1], &out->question);
    case TIDE__WANT:
        return count == 1 && get_question(&body[0], &out->question);
    case TIDE__PAGE:
        return count == 5 && tide__get_integer(&body[0], &out->to_session) &&
               get_uint32(&body[1], 0, UINT32_MAX, &out->number) &&
               get_uint32(&body[2], TIDE__HEALTHY, TIDE__WAIT, &out->health) &&
               get_ranges(&body[3], out) && get_bool(&body[4], &out->end);
    case TIDE__NEWS:
        return count == 0;
    default:
        return false;
    }
}

static int decode_fields(tide__message *message, tide__detail *detail)
{
    const msgpack_object_array *fields = array_of(&message->unpacked.data);
    uint32_t kind = 0;
    uint32_t protocol = 0;
    if (fields == NULL || fields->size < HEAD_FIELDS ||
        !get_uint32(&fields->ptr[0], 0, UINT32_MAX, &kind) ||
        !get_uint32(&fields->ptr[1], 0, UINT32_MAX, &protocol)) {
        return tide__fail(detail, TIDE_EPROTO, "the peer's message has no head");
    }
    if (protocol != TIDE__PROTOCOL) {
        return tide__fail(detail, TIDE_EPROTO, "the peer speaks protocol %u, we speak %d", protocol,
                          TIDE__PROTOCOL);
    }
    message->kind = (int)(kind <= TIDE__NEWS ? kind : 0);
    if (!get_uuid(&fields->ptr[2], message->library) || !get_uuid(&fields->ptr[3], message->from) ||
        !tide__get_integer(&fields->ptr[4], &message->session) || message->session <= 0 ||
        !get_a_time(&fields->ptr[5], &message->epoch) ||
        !get_a_time(&fields->ptr[6], &message->life)) {
        return tide__fail(detail, TIDE_EPROTO, "the head of the peer's message is malformed");
    }
    return get_body(fields, message)
               ? TIDE_OK
               : tide__fail(detail, TIDE_EPROTO, "the peer's message of kind %u is malformed", kind);
}

int tide__message_decode(tide__message *message, const void *bytes, size_t size,
                         tide__detail *detail)
{
    if (size > TIDE_MESSAGE_MAX_BYTES) {
        return tide__fail(detail, TIDE_ELIMIT, "the peer's message has %zu bytes, allowed are %u",
                          size, TIDE_MESSAGE_MAX_BYTES);
    }
    if (!measured(bytes, size)) {
        return tide__fail(detail, TIDE_EPROTO, "the peer's message is not one of ours");
    }
    size_t offset = 0;
    memset(message, 0, sizeof *message);
    msgpack_unpacked_init(&message->unpacked);
    msgpack_unpack_return got = msgpack_unpack_next(&message->unpacked, bytes, size, &offset);
    int rc = TIDE_OK;
    if (got == MSGPACK_UNPACK_NOMEM_ERROR) {
        rc = TIDE_ENOMEM;
    } else if (got != MSGPACK_UNPACK_SUCCESS || offset != size) {
        rc = tide__fail(detail, TIDE_EPROTO, "the peer's message is not one of ours");
    } else {
        rc = decode_fields(message, detail);
    }
    if (rc != TIDE_OK) {
        tide__message_free(message);
    }
    return rc;
}

void tide__message_free(tide__message *message)
{
    msgpack_unpacked_destroy(&message->unpacked);
}

/* SQLite stores what is no number as NULL. */
static bool is_key(const tide_value *value)
{
    return value->type != TIDE_NULL && (value->type != TIDE_FLOAT || !isnan(value->real));
}

int tide__message_row(const tide__range *range, size_t i, size_t value_count, tide_change *change,
                      tide_value *values)
{
    const msgpack_object_array *r = array_of(&range->rows->ptr[i]);
    bool deleted = false;
    memset(change, 0, sizeof *change);
    change->size = sizeof *change;
    if (r == NULL || r->size < 4 || !get_bool(&r->ptr[0], &deleted) ||
        !get_time(&r->ptr[1], &change->version) || change->version == TIDE_TIME_NONE ||
        !get_uuid(&r->ptr[2], change->version_device) ||
        !tide__get_value(&r->ptr[3], &change->key) || !is_key(&change->key) ||
        r->size != 4 + (deleted ? 0 : value_count)) {
        return TIDE_EPROTO;
    }
    change->deleted = deleted;
    change->value_count = r->size - 4;
    change->values = values;
    for (size_t v = 0; v < change->value_count; v++) {
        if (!tide__get_value(&r->ptr[4 + v], &values[v])) {
            return TIDE_EPROTO;
        }
    }
    return TIDE_OK;
}

/* ---- encoding ----------------------------------------------------------------------------------- */

void tide__pack_head(msgpack_packer *p, int kind, size_t fields, const uuid_t library,
                     const uuid_t from, int64_t session, tide_time epoch, tide_time life)
{
    (void)msgpack_pack_array(p, HEAD_FIELDS + fields);
    (void)msgpack_pack_int(p, kind);
    (void)msgpack_pack_int(p, TIDE__PROTOCOL);
    tide__pack_bytes(p, library, sizeof(uuid_t));
    tide__pack_bytes(p, from, sizeof(uuid_t));
    (void)msgpack_pack_int64(p, session);
    tide__pack_time(p, epoch);
    tide__pack_time(p, life);
}

void tide__pack_question(msgpack_packer *p, const tide__question *question)
{
    (void)msgpack_pack_array(p, 5);
    (void)msgpack_pack_uint32(p, question->number);
    (void)msgpack_pack_uint32(p, question->rows);
    (void)msgpack_pack_uint32(p, question->bytes);
    (void)msgpack_pack_uint32(p, question->health);
    if (!question->wanting) {
        (void)msgpack_pack_nil(p);
        return;
    }
    (void)msgpack_pack_array(p, question->count);
    for (size_t i = 0; i < question->count; i++) {
        const tide__want *want = &question->wants[i];
        (void)msgpack_pack_array(p, 8);
        tide__pack_text(p, want->resource.text, want->resource.length);
        tide__pack_time(p, want->after);
        tide__pack_time(p, want->epoch);
        tide__pack_time(p, want->generation);
        tide__pack_bool(p, want->all);
        (void)msgpack_pack_uint32(p, want->doubt);
        tide__pack_time(p, want->life);
        tide__pack_time(p, want->head);
    }
}

void tide__pack_range(msgpack_packer *p, const tide__range *range)
{
    (void)msgpack_pack_array(p, 11);
    tide__pack_text(p, range->resource.text, range->resource.length);
    tide__pack_time(p, range->after);
    tide__pack_time(p, range->upto);
}

void tide__pack_range_end(msgpack_packer *p, const tide__range *range)
{
    tide__pack_time(p, range->generation);
    tide__pack_bool(p, range->rescan);
    tide__pack_time(p, range->head);
    tide__pack_bool(p, range->known);
    (void)msgpack_pack_array(p, range->seen_count);
    for (size_t i = 0; i < range->seen_count; i++) {
        (void)msgpack_pack_array(p, 3);
        tide__pack_time(p, range->seen[i].stamp);
        tide__pack_time(p, range->seen[i].epoch);
        tide__pack_time(p, range->seen[i].life);
    }
    tide__pack_bool(p, range->doubts);
    if (range->summed) {
        unsigned char sum[TIDE__DIGEST_BYTES];
        tide__digest_pack(&range->digest, sum);
        (void)msgpack_pack_array(p, 2);
        (void)msgpack_pack_uint64(p, range->digest.count);
        tide__pack_bytes(p, sum, sizeof sum);
    } else {
        (void)msgpack_pack_nil(p);
    }
}
