/* Rows: the msgpack rows of a payload, read value by value into columns (docs/adr/0087).
 *
 * A stranger sent the bytes. None is read before it is known to be there, and what is written has its place for each
 * row. Whatever is not encoded as our recorders do it is declined: recorders/transpose.py, which makes the same
 * of every payload, takes it or leaves it. tests/laws/test_transpose.py holds the two together.
 */
#include "_rows.h"
#include <string.h>

#define NIL 0xc0
#define FLOAT64 0xcb
#define PAIR 0x92
#define NANOS 1000000000u
#define SECONDS_MAX ((int64_t)1 << 40) /* as in transpose.py: microseconds of these do not overflow */

enum { UNREAD, WHOLE, STAMPS };

static inline int
has(const Rows *from, uint64_t size)
{
    return (uint64_t)(from->end - from->at) >= size;
}

/* The next `bytes` bytes, 8 at most, as a number. */
static inline int
number(Rows *from, int bytes, uint64_t *found)
{
    if (!has(from, (uint64_t)bytes))
        return 0;
    uint64_t all = 0;
    for (; bytes; bytes--)
        all = all << 8 | *from->at++;
    *found = all;
    return 1;
}

static inline int
eight(Rows *from, uint64_t *found)
{
    if (!has(from, 8))
        return 0;
    *found = big8(from->at);
    from->at += 8;
    return 1;
}

static inline int
is_whole(unsigned char tag)
{
    return tag < 0x80 || tag >= 0xe0 || (tag >= 0xcc && tag <= 0xd3);
}

/* The whole number that a tag begins, in 64 bits with a sign. */
static inline int
whole(Rows *from, unsigned char tag, uint64_t *found)
{
    if (tag < 0x80 || tag >= 0xe0) {
        *found = (uint64_t)(int64_t)(int8_t)tag;
        return 1;
    }
    switch (tag) {
    case 0xcc: return number(from, 1, found);
    case 0xcd: return number(from, 2, found);
    case 0xce: return number(from, 4, found);
    case 0xcf: return eight(from, found) && *found <= INT64_MAX;
    case 0xd0: case 0xd1: case 0xd2: {
        int bits = 8 << (tag - 0xd0);
        uint64_t sign = (uint64_t)1 << (bits - 1);
        if (!number(from, bits / 8, found))
            return 0;
        *found = (*found ^ sign) - sign;
        return 1;
    }
    case 0xd3: return eight(from, found);
    default: return 0;
    }
}

/* The microseconds of one of msgpack's three timestamps. */
static int
stamp(Rows *from, unsigned char tag, uint64_t *found)
{
    uint64_t type, nanos = 0, seconds, size;
    if (tag == 0xc7 && !(number(from, 1, &size) && size == 12))
        return 0;
    if ((tag != 0xc7 && tag != 0xd6 && tag != 0xd7) || !number(from, 1, &type) || type != 0xff)
        return 0;
    if (tag == 0xc7 && !number(from, 4, &nanos))
        return 0;
    if (!(tag == 0xd6 ? number(from, 4, &seconds) : eight(from, &seconds)))
        return 0;
    if (tag == 0xd7) {
        nanos = seconds >> 34;
        seconds &= ((uint64_t)1 << 34) - 1;
    }
    int64_t since = (int64_t)seconds;
    if (nanos >= NANOS || nanos % 1000 || since > SECONDS_MAX || since < -SECONDS_MAX)
        return 0;
    *found = (uint64_t)(since * 1000000 + (int64_t)(nanos / 1000));
    return 1;
}

/* All instants of a column are spelled alike, or the Python way is asked. */
static inline int
instant(Rows *from, Column *to, unsigned char tag, uint64_t *found)
{
    char spelling = is_whole(tag) ? WHOLE : STAMPS;
    if (to->spelling == UNREAD)
        to->spelling = spelling;
    if (to->spelling != spelling)
        return 0;
    return spelling == WHOLE ? whole(from, tag, found) : stamp(from, tag, found);
}

/* How long the text, binary or list is that a tag begins; of a list how many items it has. */
static inline int
length(Rows *from, char kind, unsigned char tag, uint64_t *found)
{
    unsigned char fixed = kind == TEXTS ? 0xa0 : 0x90, most = kind == TEXTS ? 31 : 15;
    if (kind != BINARIES && tag >= fixed && tag <= fixed + most) {
        *found = tag - fixed;
        return 1;
    }
    unsigned char first = kind == TEXTS ? 0xd9 : kind == BINARIES ? 0xc4 : 0xdb; /* but 0xdb itself is of a text */
    if (tag < first || tag > first + 2 || (kind == LISTS && tag == first))
        return 0;
    return number(from, 1 << (tag - first), found);
}

/* Step over the bytes of a value, and note where they are. */
static inline int
span(Rows *from, Column *to, unsigned char tag, Py_ssize_t row)
{
    uint64_t size = 0, item = to->kind == LISTS ? 9 : 1;
    if (tag != NIL && !length(from, to->kind, tag, &size))
        return 0;
    if (size > (uint64_t)(from->end - from->at) / item)
        return 0;
    to->starts[row] = (uint32_t)(from->at - from->begin);
    if (to->kind == LISTS)
        for (uint64_t n = 0; n < size; n++)
            if (from->at[9 * n] != FLOAT64)
                return 0;
    from->at += size * item;
    to->total += (int32_t)size;
    memcpy(PyBytes_AS_STRING(to->values) + 4 * (row + 1), &to->total, 4);
    return 1;
}

static inline int
letters(Rows *from)
{
    uint64_t size;
    if (!has(from, 1))
        return 0;
    unsigned char tag = *from->at++;
    if (!length(from, TEXTS, tag, &size) || !has(from, size))
        return 0;
    from->at += size;
    return 1;
}

/* Keep what says why values are missing, pairs of texts, for Python to decode. It is rare. */
static int
statuses(Rows *from, Column *to, unsigned char tag, Py_ssize_t row)
{
    const unsigned char *begin = from->at - 1;
    uint64_t count;
    if (!length(from, LISTS, tag, &count))
        return 0;
    for (; count; count--)
        if (!has(from, 1) || *from->at++ != PAIR || !letters(from) || !letters(from))
            return 0;
    PyObject *found = Py_BuildValue("ny#", row, (const char *)begin, (Py_ssize_t)(from->at - begin));
    int done = found == NULL ? -1 : PyList_Append(to->statuses, found);
    Py_XDECREF(found);
    return done < 0 ? -1 : 1;
}

static int
null(Column *to, Py_ssize_t row, Py_ssize_t events)
{
    if (to->valid == NULL) {
        Py_ssize_t size = (events + 7) / 8;
        to->valid = PyBytes_FromStringAndSize(NULL, size);
        if (to->valid == NULL)
            return -1;
        unsigned char *bits = (unsigned char *)PyBytes_AS_STRING(to->valid);
        memset(bits, 0xff, (size_t)size);
        if (events % 8)
            bits[size - 1] = (unsigned char)((1 << events % 8) - 1);
    }
    ((unsigned char *)PyBytes_AS_STRING(to->valid))[row / 8] &= (unsigned char)~(1 << row % 8);
    to->nulls++;
    return 1;
}

static inline int
value(Rows *from, Column *to, Py_ssize_t row)
{
    uint64_t found = 0;
    int done = 1;
    if (!has(from, 1))
        return 0;
    const unsigned char tag = *from->at++;
    const int some = tag != NIL;
    switch (to->kind) {
    case FLOATS: done = !some || (tag == FLOAT64 && eight(from, &found)); break;
    case INTEGERS: done = !some || whole(from, tag, &found); break;
    case INSTANTS: done = !some || instant(from, to, tag, &found); break;
    case BOOLEANS:
        if (tag == 0xc3)
            ((unsigned char *)PyBytes_AS_STRING(to->values))[row / 8] |= (unsigned char)(1 << row % 8);
        done = !some || tag == 0xc2 || tag == 0xc3;
        break;
    case STATUSES: done = !some || statuses(from, to, tag, row); break;
    default: done = span(from, to, tag, row); break;
    }
    if (to->kind == FLOATS || to->kind == INTEGERS || to->kind == INSTANTS)
        memcpy(PyBytes_AS_STRING(to->values) + 8 * row, &found, 8);
    return done != 1 || some ? done : null(to, row, from->events);
}

int
read_rows(Rows *from, Column *columns)
{
    unsigned char header[3] = {0xdc, (unsigned char)(from->width >> 8), (unsigned char)from->width};
    uint64_t size = 3;
    if (from->width < 16)
        header[0] = (unsigned char)(0x90 | from->width), size = 1;
    for (Py_ssize_t row = 0; row < from->events; row++) {
        if (!has(from, size) || memcmp(from->at, header, size) != 0)
            return 0;
        from->at += size;
        for (Py_ssize_t place = 0; place < from->width; place++) {
            int done = value(from, &columns[place], row);
            if (done != 1)
                return done;
        }
    }
    return from->at == from->end;
}
