/* Plain values as msgpack, byte for byte as msgspec writes them. Every function answers 0 to decline.
 *
 * A value is plain when its type is exactly the built-in one: nothing here can run code of a caller's.
 */
#ifndef RECORDERS_PLAIN_H
#define RECORDERS_PLAIN_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <datetime.h>
#include <stdint.h>

/* An event is written on the stack of whatever thread calls; a larger one is declined. No text, list or byte
 * string of that length has a longer header than msgpack's of two bytes. */
#define EVENT_BYTES 8192
#define HEAD_BYTES 16           /* more than any number, instant or header */
#define EXACT_FLOAT (1LL << 53) /* up to here every whole number is a float */

#define FIELDS_MAX 256 /* as in fields.py */
#ifdef __GNUC__
#define SOON(object) __builtin_prefetch(object)
#else
#define SOON(object) ((void)(object))
#endif

typedef struct {
    unsigned char *at, *end;
} Writer;

typedef struct {
    const char *name; /* ASCII: fields.py refuses other names */
    Py_ssize_t length;
    PyObject *key;
    char kind;
} Field;

typedef struct {
    Py_ssize_t text, list, identifier, event;
} Limits;

static inline int
has_room(const Writer *to, Py_ssize_t size)
{
    return to->end - to->at >= size;
}

/* A marker and the last `bytes` bytes of a number. Eight are written, which is one instruction: have room. */
static inline void
put(Writer *to, unsigned char marker, uint64_t number, int bytes)
{
    unsigned char *at = to->at;
    uint64_t bits = bytes ? number << (64 - 8 * bytes) : 0;
    at[0] = marker;
    at[1] = (unsigned char)(bits >> 56), at[2] = (unsigned char)(bits >> 48);
    at[3] = (unsigned char)(bits >> 40), at[4] = (unsigned char)(bits >> 32);
    at[5] = (unsigned char)(bits >> 24), at[6] = (unsigned char)(bits >> 16);
    at[7] = (unsigned char)(bits >> 8), at[8] = (unsigned char)bits;
    to->at += 1 + bytes;
}

static inline void
put_float(Writer *to, double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    put(to, 0xcb, bits, 8);
}

static inline void
put_array(Writer *to, Py_ssize_t size)
{
    if (size < 16)
        put(to, (unsigned char)(0x90 | size), 0, 0);
    else
        put(to, 0xdc, (uint64_t)size, 2);
}

static inline void
put_int(Writer *to, int64_t number)
{
    uint64_t bits = (uint64_t)number;
    if (number >= -32 && number <= INT8_MAX)
        put(to, (unsigned char)number, 0, 0);
    else if (number >= 0)
        number <= UINT8_MAX    ? put(to, 0xcc, bits, 1)
        : number <= UINT16_MAX ? put(to, 0xcd, bits, 2)
        : number <= UINT32_MAX ? put(to, 0xce, bits, 4)
                               : put(to, 0xcf, bits, 8);
    else
        number >= INT8_MIN    ? put(to, 0xd0, bits, 1)
        : number >= INT16_MIN ? put(to, 0xd1, bits, 2)
        : number >= INT32_MIN ? put(to, 0xd2, bits, 4)
                              : put(to, 0xd3, bits, 8);
}

static inline int
put_all(Writer *to, const char *data, Py_ssize_t size)
{
    if (!has_room(to, size))
        return 0;
    memcpy(to->at, data, (size_t)size);
    to->at += size;
    return 1;
}

static inline int
put_text(Writer *to, PyObject *text, Py_ssize_t least, Py_ssize_t most)
{
    if (!PyUnicode_CheckExact(text))
        return 0;
    int ascii = PyUnicode_IS_COMPACT_ASCII(text);
    Py_ssize_t size = ascii ? PyUnicode_GET_LENGTH(text) : PyUnicode_GetLength(text);
    if (size < least || size > most || size > EVENT_BYTES) /* the limits count letters */
        return 0;
    const char *data = ascii ? (const char *)PyUnicode_1BYTE_DATA(text)
                             : PyUnicode_AsUTF8AndSize(text, &size); /* NULL for half a surrogate pair */
    if (data == NULL || size > EVENT_BYTES)
        return 0;
    if (size < 32)
        put(to, (unsigned char)(0xa0 | size), 0, 0);
    else if (size <= UINT8_MAX)
        put(to, 0xd9, (uint64_t)size, 1);
    else
        put(to, 0xda, (uint64_t)size, 2);
    return put_all(to, data, size);
}

static int
put_bytes(Writer *to, PyObject *value, Py_ssize_t most)
{
    if (!PyBytes_CheckExact(value))
        return 0;
    Py_ssize_t size = PyBytes_GET_SIZE(value);
    if (size > most || size > EVENT_BYTES)
        return 0;
    if (size <= UINT8_MAX)
        put(to, 0xc4, (uint64_t)size, 1);
    else
        put(to, 0xc5, (uint64_t)size, 2);
    return put_all(to, PyBytes_AS_STRING(value), size);
}

static inline int
as_whole(PyObject *value, int64_t *number)
{
    int overflow;
    if (!PyLong_CheckExact(value))
        return 0;
    *number = PyLong_AsLongLongAndOverflow(value, &overflow);
    return !overflow;
}

/* A float, or a whole number that a float equals. */
static inline int
as_float(PyObject *value, double *number)
{
    if (PyFloat_CheckExact(value)) {
        *number = PyFloat_AS_DOUBLE(value);
        return 1;
    }
    int64_t exact;
    if (!as_whole(value, &exact) || exact > EXACT_FLOAT || exact < -EXACT_FLOAT)
        return 0;
    *number = (double)exact;
    return 1;
}

static inline int
put_floats(Writer *to, PyObject *list, Py_ssize_t most)
{
    if (!PyList_CheckExact(list))
        return 0;
    Py_ssize_t size = PyList_GET_SIZE(list);
    if (size > most || size > EVENT_BYTES || !has_room(to, HEAD_BYTES + 9 * size))
        return 0;
    put_array(to, size);
    for (Py_ssize_t place = 0; place < size; place++) {
        double number;
        if (!as_float(PyList_GET_ITEM(list, place), &number))
            return 0;
        put_float(to, number);
    }
    return 1;
}

/* An instant in UTC: another zone would run code to say its offset. msgpack has it in 4, 8 or 12 bytes. */
static int
put_instant(Writer *to, PyObject *value)
{
    if (!PyDateTime_CheckExact(value) || PyDateTime_DATE_GET_TZINFO(value) != PyDateTime_TimeZone_UTC)
        return 0;
    /* Days by a calendar whose years begin in March, so that the leap day is the last of a year. */
    int64_t month = PyDateTime_GET_MONTH(value), year = PyDateTime_GET_YEAR(value) - (month <= 2);
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + PyDateTime_GET_DAY(value) - 1;
    int64_t days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719468; /* since 1970 */
    int64_t seconds = days * 86400 + PyDateTime_DATE_GET_HOUR(value) * 3600
                      + PyDateTime_DATE_GET_MINUTE(value) * 60 + PyDateTime_DATE_GET_SECOND(value);
    uint64_t nanoseconds = (uint64_t)PyDateTime_DATE_GET_MICROSECOND(value) * 1000;
    uint64_t bits = nanoseconds << 34 | (uint64_t)seconds;
    if (seconds >> 34 != 0) { /* after 2514, or before 1970 */
        put(to, 0xc7, 0x0cff, 2);
        put(to, (unsigned char)(nanoseconds >> 24), nanoseconds, 3);
        put(to, (unsigned char)((uint64_t)seconds >> 56), (uint64_t)seconds, 7);
    }
    else if (bits > UINT32_MAX) {
        put(to, 0xd7, 0xff, 1);
        put(to, (unsigned char)(bits >> 56), bits, 7);
    }
    else {
        put(to, 0xd6, 0xff, 1);
        put(to, (unsigned char)(bits >> 24), bits, 3);
    }
    return 1;
}

/* A value of the kind that a code of hotpath.py names; upper case where None is not allowed. */
static inline int
put_value(Writer *to, const Limits *limits, char kind, PyObject *value)
{
    const char code = kind | 0x20;
    double number;
    int64_t exact;
    if (!has_room(to, HEAD_BYTES))
        return 0;
    if (value == Py_None) {
        put(to, 0xc0, 0, 0);
        return kind >= 'a';
    }
    switch (code) {
    case 'f': /* float64 */
    case 'p': /* a share: a probability in (0, 1] */
        if (!as_float(value, &number) || (code == 'p' && !(number > 0 && number <= 1)))
            return 0;
        put_float(to, number);
        return 1;
    case 'i': /* int64 */
    case 'c': /* a count */
        if (!as_whole(value, &exact) || (code == 'c' && exact < 0))
            return 0;
        put_int(to, exact);
        return 1;
    case 'b': /* bool */
        put(to, value == Py_True ? 0xc3 : 0xc2, 0, 0);
        return PyBool_Check(value);
    case 's': /* string, category */
        return put_text(to, value, 0, limits->text);
    case 'l': /* list[float64] */
        return put_floats(to, value, limits->list);
    case 't': /* timestamp */
        return put_instant(to, value);
    case 'y': /* bytes */
        return put_bytes(to, value, limits->text);
    case 'n': /* a name of the envelope */
    case 'x': /* a text of the envelope */
        return put_text(to, value, code == 'n', limits->identifier);
    default:
        return 0;
    }
}

static inline int
is_named(PyObject *key, const Field *field)
{
    return key == field->key
           || (PyUnicode_CheckExact(key) && PyUnicode_IS_COMPACT_ASCII(key)
               && PyUnicode_GET_LENGTH(key) == field->length
               && memcmp(PyUnicode_1BYTE_DATA(key), field->name, (size_t)field->length) == 0);
}

/* A snapshot in schema order, as most are, is read without a look-up. Its objects were made some time ago and
 * are in no cache: the first walk asks for all of them at once, the second finds them there. */
static int
put_snapshot(Writer *to, const Limits *limits, const Field *fields, Py_ssize_t count,
             PyObject *features)
{
    PyObject *keys[FIELDS_MAX], *values[FIELDS_MAX];
    if (!PyDict_CheckExact(features) || PyDict_GET_SIZE(features) != count)
        return 0;
    Py_ssize_t at = 0;
    for (Py_ssize_t place = 0; PyDict_Next(features, &at, &keys[place], &values[place]); place++) {
        SOON(keys[place]);
        SOON(values[place]);
    }
    int in_order = 1;
    for (Py_ssize_t place = 0; place < count; place++) {
        const Field *field = &fields[place];
        if (in_order && !is_named(keys[place], field)) {
            /* A look-up compares keys: one that is not plain would run code of a caller's. */
            for (Py_ssize_t each = place; each < count; each++)
                if (!PyUnicode_CheckExact(keys[each]))
                    return 0;
            in_order = 0;
        }
        PyObject *value = in_order ? values[place] : PyDict_GetItemWithError(features, field->key);
        if (value == NULL || !put_value(to, limits, field->kind, value))
            return 0;
    }
    return put_value(to, limits, 'x', Py_None); /* no statuses */
}

#endif
