/* Transpose: rows of msgpack as the buffers of Arrow columns, without an object for any value (docs/adr/0087).
 *
 * _rows.c reads the rows. Here is room made for them, and what lies scattered in the payload is brought together.
 */
#include "_doors.h"
#include "_rows.h"
#include <string.h>

#define HEADER_BYTES 5 /* of the array that a payload is */
#define WIDTH_MAX 512  /* more values than an event can have: fields.py allows 256 fields */
#define PAYLOAD_MAX ((Py_ssize_t)INT32_MAX - 64) /* offsets have 32 bits */
#define STEP 16 /* most texts are shorter: so much is copied in one instruction */

/* Make room for the rows of a column; 0 with an error. No more than 8 bytes for each byte of a payload. */
static int
prepare(Column *column, Py_ssize_t events)
{
    if (column->kind == STATUSES)
        return (column->statuses = PyList_New(0)) != NULL;
    int spans = column->kind == TEXTS || column->kind == BINARIES || column->kind == LISTS;
    Py_ssize_t size = spans ? 4 * (events + 1) : column->kind == BOOLEANS ? (events + 7) / 8 : 8 * events;
    column->values = PyBytes_FromStringAndSize(NULL, size);
    if (column->values == NULL)
        return 0;
    if (column->kind == BOOLEANS)
        memset(PyBytes_AS_STRING(column->values), 0, (size_t)size);
    if (!spans)
        return 1;
    memset(PyBytes_AS_STRING(column->values), 0, 4); /* the first begins at 0 */
    column->starts = PyMem_Malloc(sizeof(uint32_t) * (size_t)events);
    if (column->starts == NULL)
        PyErr_NoMemory();
    return column->starts != NULL;
}

static inline Py_ssize_t
size_of(const Column *column, Py_ssize_t row)
{
    int32_t ends[2];
    memcpy(ends, PyBytes_AS_STRING(column->values) + 4 * row, sizeof ends);
    return ends[1] - ends[0];
}

/* The floats of all lists. */
static PyObject *
floats(const Rows *rows, const Column *column)
{
    PyObject *made = PyBytes_FromStringAndSize(NULL, 8 * (Py_ssize_t)column->total);
    if (made == NULL)
        return NULL;
    char *to = PyBytes_AS_STRING(made);
    for (Py_ssize_t row = 0; row < rows->events; row++) {
        const unsigned char *at = rows->begin + column->starts[row];
        for (Py_ssize_t left = size_of(column, row); left; left--, at += 9, to += 8) {
            uint64_t bits = big8(at + 1);
            memcpy(to, &bits, 8);
        }
    }
    return made;
}

/* The bytes of all texts, one behind the other. */
static PyObject *
joined(const Rows *rows, const Column *column)
{
    PyObject *made = PyBytes_FromStringAndSize(NULL, column->total);
    if (made == NULL)
        return NULL;
    char *to = PyBytes_AS_STRING(made), *end = to + column->total;
    for (Py_ssize_t row = 0; row < rows->events; row++) {
        const unsigned char *at = rows->begin + column->starts[row];
        Py_ssize_t size = size_of(column, row);
        if (size <= STEP && end - to >= STEP && rows->end - at >= STEP)
            memcpy(to, at, STEP); /* the next text goes over what is too much */
        else
            memcpy(to, at, (size_t)size);
        to += size;
    }
    return made;
}

static int
is_ascii(PyObject *bytes)
{
    const char *at = PyBytes_AS_STRING(bytes), *end = at + PyBytes_GET_SIZE(bytes);
    uint64_t all = 0, some;
    for (; end - at >= 8; at += 8) {
        memcpy(&some, at, 8);
        all |= some;
    }
    for (; at < end; at++)
        all |= (unsigned char)*at;
    return (all & 0x8080808080808080u) == 0;
}

/* (nulls, which are valid or None, values, content or None, whether texts are all ASCII) */
static PyObject *
finished(const Rows *rows, Column *column)
{
    PyObject *content = NULL;
    int ascii = 0;
    if (column->starts != NULL) {
        content = column->kind == LISTS ? floats(rows, column) : joined(rows, column);
        if (content == NULL)
            return NULL;
        ascii = column->kind == TEXTS && is_ascii(content);
    }
    PyObject *values = column->kind == STATUSES ? column->statuses : column->values;
    PyObject *made = Py_BuildValue("nOOOO", column->nulls, column->valid ? column->valid : Py_None, values,
                                   content ? content : Py_None, ascii ? Py_True : Py_False);
    Py_XDECREF(content);
    return made;
}

static PyObject *
all_finished(const Rows *rows, Column *columns)
{
    PyObject *made = PyList_New(rows->width);
    for (Py_ssize_t place = 0; made && place < rows->width; place++) {
        PyObject *column = finished(rows, &columns[place]);
        if (column == NULL)
            Py_CLEAR(made);
        else
            PyList_SET_ITEM(made, place, column);
    }
    return made;
}

/* Take the arguments: a payload, how many events it has, the kind of each of their values. 0 with an error. */
static int
begin(PyObject *const *args, Py_ssize_t given, Rows *rows)
{
    if (given != 3 || !PyBytes_CheckExact(args[0]) || !PyLong_CheckExact(args[1]) || !PyBytes_CheckExact(args[2]))
        return PyErr_Format(PyExc_TypeError, "Expected a payload, how many events, a kind for each value.") != NULL;
    rows->begin = rows->at = (const unsigned char *)PyBytes_AS_STRING(args[0]);
    rows->end = rows->begin + PyBytes_GET_SIZE(args[0]);
    rows->width = PyBytes_GET_SIZE(args[2]);
    rows->events = PyLong_AsSsize_t(args[1]);
    if (rows->events == -1 && PyErr_Occurred())
        return 0;
    int known = rows->width > 0 && rows->width <= WIDTH_MAX;
    for (Py_ssize_t place = 0; known && place < rows->width; place++)
        known = PyBytes_AS_STRING(args[2])[place] && strchr("fibstylu", PyBytes_AS_STRING(args[2])[place]);
    return known || PyErr_Format(PyExc_ValueError, "Expected 1 to %d kinds that are known.", WIDTH_MAX) != NULL;
}

/* Step over the header of a payload that can hold so many events. */
static int
is_payload(Rows *rows)
{
    Py_ssize_t size = rows->end - rows->begin;
    if (size < HEADER_BYTES || size > PAYLOAD_MAX || rows->events < 1)
        return 0;
    uint64_t head = 0;
    for (; rows->at < rows->begin + HEADER_BYTES; rows->at++)
        head = head << 8 | *rows->at;
    /* Each value takes a byte: no more room is made than what came can fill. */
    return head == ((uint64_t)0xdd << 32 | (uint64_t)rows->events)
           && rows->events <= (size - HEADER_BYTES) / rows->width;
}

static PyObject *
transpose(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t given)
{
    Rows rows;
    if (!begin(args, given, &rows))
        return NULL;
    if (!is_payload(&rows))
        Py_RETURN_NONE;
    Column *columns = PyMem_Calloc((size_t)rows.width, sizeof(Column));
    if (columns == NULL)
        return PyErr_NoMemory();
    int done = 1;
    for (Py_ssize_t place = 0; done == 1 && place < rows.width; place++) {
        columns[place].kind = PyBytes_AS_STRING(args[2])[place];
        done = prepare(&columns[place], rows.events) ? 1 : -1;
    }
    if (done == 1)
        done = read_rows(&rows, columns);
    PyObject *made = done == 1 ? all_finished(&rows, columns) : done == 0 ? Py_NewRef(Py_None) : NULL;
    for (Py_ssize_t place = 0; place < rows.width; place++) {
        Py_XDECREF(columns[place].valid);
        Py_XDECREF(columns[place].values);
        Py_XDECREF(columns[place].statuses);
        PyMem_Free(columns[place].starts);
    }
    PyMem_Free(columns);
    return made;
}

PyMethodDef transpose_methods[] = {
    {"transpose", (PyCFunction)(void (*)(void))transpose, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};
