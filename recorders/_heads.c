/* Heads: the values of a request's head that is spelled like those before it, in one walk (docs/adr/0074), and the half
 * that the request is, if _halves.c knows it (docs/adr/0088).
 *
 * A stranger sent the bytes. None is read before it is known to be there, and nothing is written but objects of
 * Python's. What a value may be, and where it ends, is as the regular expression of recorders/doors/heads.py
 * has it, which finds the same in every head. tests/laws/test_heads.py holds the two together.
 */
#include "_doors.h"
#include <string.h>

#define DIGITS_MAX 15 /* of a length: no such number is too large for 64 bits */

typedef struct {
    const unsigned char *at, *end;
} Reader;

/* Step over bytes that must stand here. */
static inline int
spelt(Reader *from, PyObject *literal)
{
    size_t size = (size_t)PyBytes_GET_SIZE(literal);
    if ((size_t)(from->end - from->at) < size || memcmp(from->at, PyBytes_AS_STRING(literal), size) != 0)
        return 0;
    from->at += size;
    return 1;
}

/* Step over visible characters and blanks between them, at least one. */
static inline int
visible(Reader *from)
{
    const unsigned char *begin = from->at;
    while (from->at < from->end && *from->at >= ' ' && *from->at <= '~')
        from->at++;
    return from->at > begin && *begin != ' ' && from->at[-1] != ' ';
}

static inline int
digits(Reader *from, long long *found)
{
    const unsigned char *begin = from->at;
    *found = 0;
    while (from->at < from->end && *from->at >= '0' && *from->at <= '9') {
        if (from->at - begin == DIGITS_MAX)
            return 0;
        *found = *found * 10 + (*from->at++ - '0');
    }
    return from->at > begin;
}

/* Read the value of a name: a number for the length, bytes for the token, a text for an attribute, None for what is
 * not kept. 1 if it is there, 0 if it is none that is taken, -1 with an error. */
static int
value(Reader *from, PyObject *name, Head *head)
{
    if (PyLong_CheckExact(name))
        return digits(from, &head->length);
    const unsigned char *begin = from->at;
    if (!visible(from))
        return 0;
    if (name == Py_None)
        return 1;
    Py_ssize_t size = from->at - begin;
    if (PyBytes_Check(name)) {
        Py_XSETREF(head->token, PyBytes_FromStringAndSize((const char *)begin, size));
        return head->token == NULL ? -1 : 1;
    }
    PyObject *text = PyUnicode_New(size, 127);
    if (text == NULL)
        return -1;
    memcpy(PyUnicode_1BYTE_DATA(text), begin, (size_t)size);
    head->characters += size;
    head->escaped |= memchr(begin, '%', (size_t)size) != NULL;
    int done = PyDict_SetItem(head->attributes, name, text);
    Py_DECREF(text);
    return done < 0 ? -1 : 1;
}

static int
walk(Reader *from, PyObject *literals, PyObject *names, Head *head)
{
    Py_ssize_t count = PyTuple_GET_SIZE(names);
    for (Py_ssize_t n = 0; n < count; n++) {
        if (!spelt(from, PyTuple_GET_ITEM(literals, n)))
            return 0;
        int found = value(from, PyTuple_GET_ITEM(names, n), head);
        if (found != 1)
            return found;
    }
    return spelt(from, PyTuple_GET_ITEM(literals, count));
}

/* Whether a spelling is one more byte strings than names, of the kinds that `value` knows. */
static int
sound(PyObject *literals, PyObject *names)
{
    if (!PyTuple_CheckExact(literals) || !PyTuple_CheckExact(names))
        return 0;
    if (PyTuple_GET_SIZE(literals) != PyTuple_GET_SIZE(names) + 1)
        return 0;
    for (Py_ssize_t n = 0; n < PyTuple_GET_SIZE(literals); n++)
        if (!PyBytes_CheckExact(PyTuple_GET_ITEM(literals, n)))
            return 0;
    for (Py_ssize_t n = 0; n < PyTuple_GET_SIZE(names); n++) {
        PyObject *name = PyTuple_GET_ITEM(names, n);
        if (name != Py_None && !PyLong_CheckExact(name) && !PyUnicode_CheckExact(name) && !PyBytes_CheckExact(name))
            return 0;
    }
    return 1;
}

/* Return what a head came to as Python has it. The half is None without a plan, and where the body is not all there. */
static PyObject *
told(const Head *head, PyObject *data, Py_ssize_t end, PyObject *plan, PyObject *received_at)
{
    int there = plan != Py_None && head->length <= PyBytes_GET_SIZE(data) - end;
    PyObject *half = !there ? Py_NewRef(Py_None)
                            : plain_half(plan, head, received_at, PyBytes_AS_STRING(data) + end);
    if (half == NULL)
        return NULL;
    return Py_BuildValue("LOOnN", head->length, head->token, head->attributes, end, half);
}

static PyObject *
read_request(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t given)
{
    if (given != 7 || !sound(args[0], args[1]) || !PyBytes_CheckExact(args[2]))
        return PyErr_Format(PyExc_TypeError, "Expected literals, names between them, bytes, start, size, plan and time.");
    if (args[5] != Py_None && !sound_plan(args[5]))
        return PyErr_Format(PyExc_TypeError, "Expected of a plan kinds, names, a length and what makes a half.");
    Py_ssize_t size = PyBytes_GET_SIZE(args[2]);
    Py_ssize_t start = PyLong_AsSsize_t(args[3]), most = PyLong_AsSsize_t(args[4]);
    if (PyErr_Occurred())
        return NULL;
    if (start < 0 || start > size || most < 0)
        return PyErr_Format(PyExc_ValueError, "Expected a start within the bytes, and a size from 0.");
    const unsigned char *begin = (const unsigned char *)PyBytes_AS_STRING(args[2]);
    Reader from = {begin + start, begin + start + (most < size - start ? most : size - start)};
    Head head = {0, 0, 0, NULL, PyDict_New()};
    PyObject *made = NULL;
    int found = head.attributes == NULL ? -1 : walk(&from, args[0], args[1], &head);
    if (found == 1 && head.token == NULL)
        head.token = PyBytes_FromStringAndSize(NULL, 0);
    if (found == 1 && head.token != NULL)
        made = told(&head, args[2], (Py_ssize_t)(from.at - begin), args[5], args[6]);
    Py_XDECREF(head.token);
    Py_XDECREF(head.attributes);
    return made || found < 0 || PyErr_Occurred() ? made : Py_NewRef(Py_None);
}

PyMethodDef heads_methods[] = {
    {"read_request", (PyCFunction)(void (*)(void))read_request, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};
