/* Cut: what is a person's, out of the events of a frame, without an object for each value (docs/adr/0076).
 *
 * A stranger sent the bytes. None is read before it is known to be there, and nothing is written but objects of
 * Python's. Whatever is not encoded just as msgspec encodes it is declined: recorders/cutting.py, which makes
 * the same of every payload, takes it or says what it is. tests/laws/test_cutting.py holds the two together.
 */
#include "_cut.h"
#include <stdint.h>
#include <string.h>

#define HEADER_BYTES 5 /* of the array that a payload is */
#define WIDTH_MAX 512  /* more values than an event can have: fields.py allows 256 fields */
#define DEPTH_MAX 3    /* statuses are arrays in an array */
#define NANOS 1000000000u
#define FIRST_SECOND (-62135596800LL) /* of the year 1, and the last of 9999 */
#define LAST_SECOND 253402300799LL

enum { KEPT, SEALED, SUBJECT }; /* what `marks` says of a value */
enum { NAMES, ABOUTS, VALUES, BEFORE, AFTER, COLUMNS };

typedef struct {
    const unsigned char *at, *end;
} Reader;

static inline int
has(const Reader *from, uint64_t size)
{
    return (uint64_t)(from->end - from->at) >= size;
}

static inline int
skip(Reader *from, uint64_t size)
{
    if (!has(from, size))
        return 0;
    from->at += size;
    return 1;
}

/* The next `bytes` bytes as a number, if they are there and it is no smaller than one of its length can be. */
static inline int
number(Reader *from, int bytes, uint64_t least, uint64_t *found)
{
    if (!has(from, (uint64_t)bytes))
        return 0;
    *found = 0;
    for (; bytes; bytes--)
        *found = *found << 8 | *from->at++;
    return *found >= least;
}

static int
text(Reader *from, uint64_t size)
{
    const unsigned char *begin = from->at;
    unsigned char all = 0;
    if (!skip(from, size))
        return 0;
    for (const unsigned char *at = begin; at < from->at; at++)
        all |= *at;
    if (all < 0x80)
        return 1;
    PyObject *decoded = PyUnicode_DecodeUTF8((const char *)begin, (Py_ssize_t)size, NULL);
    if (decoded == NULL)
        PyErr_Clear();
    Py_XDECREF(decoded);
    return decoded != NULL;
}

static int
negative(Reader *from, int bytes, int64_t below)
{
    uint64_t found;
    if (!number(from, bytes, 0, &found))
        return 0;
    uint64_t sign = (uint64_t)1 << (8 * bytes - 1);
    return (int64_t)((found ^ sign) - sign) < below;
}

/* An instant of whole microseconds, in the shortest of its three forms. */
static int
instant(Reader *from, unsigned char tag)
{
    uint64_t type, nanos, seconds, of;
    if (tag == 0xc7 && !(number(from, 1, 0, &of) && of == 12))
        return 0;
    if (!number(from, 1, 0, &type) || type != 0xff)
        return 0;
    if (tag == 0xd6)
        return skip(from, 4);
    if (tag == 0xd7) {
        if (!number(from, 8, 0, &of))
            return 0;
        nanos = of >> 34;
        seconds = of & (((uint64_t)1 << 34) - 1);
        return nanos < NANOS && nanos % 1000 == 0 && (nanos || seconds >> 32);
    }
    if (!number(from, 4, 0, &nanos) || !number(from, 8, 0, &seconds) || nanos >= NANOS || nanos % 1000)
        return 0;
    return seconds >> 34 && (int64_t)seconds >= FIRST_SECOND && (int64_t)seconds <= LAST_SECOND;
}

static int value(Reader *from, int depth);

static int
items(Reader *from, uint64_t count, int depth)
{
    if (depth == DEPTH_MAX)
        return 0;
    for (; count; count--)
        if (!value(from, depth + 1))
            return 0;
    return 1;
}

/* Step over one value; 0 if it ends too late or is encoded in another way than msgspec's. */
static int
value(Reader *from, int depth)
{
    uint64_t found;
    if (!has(from, 1))
        return 0;
    unsigned char tag = *from->at++;
    if (tag < 0x80 || tag >= 0xe0)
        return 1;
    if (tag >= 0xa0 && tag < 0xc0)
        return text(from, tag & 0x1f);
    if (tag >= 0x90 && tag < 0xa0)
        return items(from, tag & 0x0f, depth);
    switch (tag) {
    case 0xc0: case 0xc2: case 0xc3: return 1;
    case 0xc4: return number(from, 1, 0, &found) && skip(from, found);
    case 0xc5: return number(from, 2, 1 << 8, &found) && skip(from, found);
    case 0xc6: return number(from, 4, 1 << 16, &found) && skip(from, found);
    case 0xc7: case 0xd6: case 0xd7: return instant(from, tag);
    case 0xcb: return skip(from, 8);
    case 0xcc: return number(from, 1, 1 << 7, &found);
    case 0xcd: return number(from, 2, 1 << 8, &found);
    case 0xce: return number(from, 4, 1 << 16, &found);
    case 0xcf: return number(from, 8, (uint64_t)1 << 32, &found);
    case 0xd0: return negative(from, 1, -32);
    case 0xd1: return negative(from, 2, INT8_MIN);
    case 0xd2: return negative(from, 4, INT16_MIN);
    case 0xd3: return negative(from, 8, INT32_MIN);
    case 0xd9: return number(from, 1, 1 << 5, &found) && text(from, found);
    case 0xda: return number(from, 2, 1 << 8, &found) && text(from, found);
    case 0xdb: return number(from, 4, 1 << 16, &found) && text(from, found);
    case 0xdc: return number(from, 2, 1 << 4, &found) && items(from, found, depth);
    case 0xdd: return number(from, 4, 1 << 16, &found) && items(from, found, depth);
    default: return 0;
    }
}

/* Write the header of an array of at most WIDTH_MAX, and return what is behind it. */
static unsigned char *
array(unsigned char *to, Py_ssize_t count)
{
    if (count < 16) {
        *to++ = (unsigned char)(0x90 | count);
        return to;
    }
    *to++ = 0xdc, *to++ = (unsigned char)(count >> 8), *to++ = (unsigned char)count;
    return to;
}

static inline Py_ssize_t
array_bytes(Py_ssize_t count)
{
    return count < 16 ? 1 : 3;
}

/* An event's values where they begin, each ending where the next begins. */
typedef struct {
    const unsigned char *starts[WIDTH_MAX + 1];
    const unsigned char *marks;
    Py_ssize_t width, sealed;
} Event;

/* An array of `count` that begins with the values that are sealed, or with those that are kept but the last. */
static PyObject *
gathered(const Event *event, int sealed, Py_ssize_t count)
{
    Py_ssize_t size = array_bytes(count);
    for (Py_ssize_t n = 0; n + 1 < event->width; n++)
        if ((event->marks[n] != KEPT) == sealed)
            size += event->starts[n + 1] - event->starts[n];
    PyObject *made = PyBytes_FromStringAndSize(NULL, size);
    if (made == NULL)
        return NULL;
    unsigned char *to = array((unsigned char *)PyBytes_AS_STRING(made), count);
    for (Py_ssize_t n = 0; n + 1 < event->width;) {
        Py_ssize_t first = n++;
        int other = (event->marks[first] != KEPT) != sealed;
        while (n + 1 < event->width && ((event->marks[n] != KEPT) != sealed) == other)
            n++;
        size = event->starts[n] - event->starts[first];
        if (!other) {
            memcpy(to, event->starts[first], (size_t)size);
            to += size;
        }
    }
    return made;
}

static PyObject *
between(const unsigned char *start, const unsigned char *stop)
{
    return PyBytes_FromStringAndSize((const char *)start, stop - start);
}

/* A text's bytes: where they begin behind its header, as `value` has stepped over it. */
static const unsigned char *
letters(const unsigned char *start)
{
    return start + (*start < 0xc0 ? 1 : *start == 0xd9 ? 2 : *start == 0xda ? 3 : 5);
}

static int
is_text(unsigned char tag)
{
    return (tag >= 0xa0 && tag < 0xc0) || (tag >= 0xd9 && tag <= 0xdb);
}

/* Find the values of the next event; 0 to decline. */
static int
find(Reader *from, Event *event)
{
    unsigned char header[3];
    Py_ssize_t size = array(header, event->width) - header;
    if (!has(from, (uint64_t)size) || memcmp(from->at, header, (size_t)size) != 0)
        return 0;
    from->at += size;
    for (Py_ssize_t n = 0; n < event->width; n++) {
        event->starts[n] = from->at;
        if (!value(from, 0))
            return 0;
        if (event->marks[n] == SUBJECT && !is_text(*event->starts[n]) && *event->starts[n] != 0xc0)
            return 0;
    }
    event->starts[event->width] = from->at;
    return is_text(*event->starts[0]);
}

/* Put what is made of an event into the columns; 0 with an error. */
static int
put(const Event *event, PyObject *bound, PyObject *const *columns, Py_ssize_t row)
{
    const unsigned char *const *starts = event->starts, *id = letters(starts[0]);
    PyObject *made[COLUMNS];
    Py_ssize_t subject = 0, size = starts[1] - id, more = PyBytes_GET_SIZE(bound);
    while (event->marks[subject] != SUBJECT)
        subject++;
    const unsigned char *name = letters(starts[subject]);
    made[NAMES] = *starts[subject] == 0xc0
                      ? Py_NewRef(Py_None)
                      : PyUnicode_DecodeUTF8((const char *)name, starts[subject + 1] - name, NULL);
    made[ABOUTS] = PyBytes_FromStringAndSize(NULL, size + more);
    if (made[ABOUTS] != NULL) {
        memcpy(PyBytes_AS_STRING(made[ABOUTS]), id, (size_t)size);
        memcpy(PyBytes_AS_STRING(made[ABOUTS]) + size, PyBytes_AS_STRING(bound), (size_t)more);
    }
    made[VALUES] = gathered(event, 1, event->sealed);
    made[BEFORE] = gathered(event, 0, event->width - event->sealed + 1);
    made[AFTER] = between(starts[event->width - 1], starts[event->width]);
    int whole = 1;
    for (int n = 0; n < COLUMNS; n++) {
        whole = whole && made[n] != NULL;
        PyList_SET_ITEM(columns[n], row, made[n]);
    }
    return whole;
}

/* Cut all events; 1 if it is done, 0 to decline, -1 with an error. */
static int
cut_all(Reader *from, Event *event, PyObject *bound, PyObject *const *columns, Py_ssize_t events)
{
    for (Py_ssize_t row = 0; row < events; row++) {
        if (!find(from, event))
            return 0;
        if (!put(event, bound, columns, row))
            return -1;
    }
    return from->at == from->end;
}

/* Take the arguments: a payload, what is sealed of its values, what is behind the id of each. */
static int
begin(PyObject *const *args, Py_ssize_t given, Reader *from, Event *event)
{
    if (given != 3 || !PyBytes_CheckExact(args[0]) || !PyBytes_CheckExact(args[1]) || !PyBytes_CheckExact(args[2]))
        return 0;
    from->at = (const unsigned char *)PyBytes_AS_STRING(args[0]);
    from->end = from->at + PyBytes_GET_SIZE(args[0]);
    event->marks = (const unsigned char *)PyBytes_AS_STRING(args[1]);
    event->width = PyBytes_GET_SIZE(args[1]);
    if (event->width < 2 || event->width > WIDTH_MAX)
        return 0;
    int subjects = 0;
    event->sealed = 0;
    for (Py_ssize_t n = 0; n < event->width; n++) {
        event->sealed += event->marks[n] != KEPT;
        subjects += event->marks[n] == SUBJECT;
    }
    return subjects == 1 && event->marks[0] == KEPT && event->marks[event->width - 1] == KEPT;
}

static PyObject *
cut(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t given)
{
    Reader from;
    Event event;
    uint64_t events;
    if (!begin(args, given, &from, &event))
        return PyErr_Format(PyExc_TypeError, "Expected a payload, a mark for each value, and bytes.");
    if (!has(&from, HEADER_BYTES) || *from.at++ != 0xdd || !number(&from, 4, 0, &events))
        Py_RETURN_NONE;
    if (events > (uint64_t)(from.end - from.at) / (uint64_t)event.width)
        Py_RETURN_NONE; /* each value takes a byte: no list is made longer than what came */
    PyObject *columns[COLUMNS] = {NULL}, *made = NULL;
    int done = 1;
    for (int n = 0; n < COLUMNS; n++) {
        columns[n] = PyList_New((Py_ssize_t)events);
        done = columns[n] == NULL ? -1 : done;
    }
    if (done == 1)
        done = cut_all(&from, &event, args[2], columns, (Py_ssize_t)events);
    if (done == 1)
        made = PyTuple_Pack(COLUMNS, columns[0], columns[1], columns[2], columns[3], columns[4]);
    for (int n = 0; n < COLUMNS; n++)
        Py_XDECREF(columns[n]);
    return made || done < 0 || PyErr_Occurred() ? made : Py_NewRef(Py_None);
}

PyMethodDef cut_methods[] = {
    {"cut", (PyCFunction)(void (*)(void))cut, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};
