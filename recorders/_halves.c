/* Halves: the half of an inference that a plain request is, out of its attributes and its body (docs/adr/0088).
 *
 * A stranger sent what stands in them. Whatever is unusual is declined, and read by Python, which also says why it is
 * refused. What makes a half is a plan of recorders/doors/pairing.py, which makes the same of every request that is
 * taken here. tests/laws/test_halves.py holds the two together.
 */
#include "_doors.h"
#include <string.h>

enum { KINDS, NEEDED, LONGEST, MAKE, PLAN_SIZE }; /* a plan */
enum { FAMILY, SIDE, NAMES, KIND_SIZE };          /* what a type of event is */
#define SEPARATOR '\x1f'
#define NAMES_MAX 8

/* The value of an attribute, borrowed: NULL where it is not there, or with an error. */
static inline PyObject *
value(PyObject *attributes, PyObject *name)
{
    return PyDict_GetItemWithError(attributes, name);
}

static int
texts(PyObject *names, Py_ssize_t most)
{
    if (!PyTuple_CheckExact(names) || PyTuple_GET_SIZE(names) == 0 || PyTuple_GET_SIZE(names) > most)
        return 0;
    for (Py_ssize_t n = 0; n < PyTuple_GET_SIZE(names); n++)
        if (!PyUnicode_CheckExact(PyTuple_GET_ITEM(names, n)))
            return 0;
    return 1;
}

/* Whether a plan is one: what is there of each kind, the names that each event has, how long their values are at
 * most, and what makes a half. */
int
sound_plan(PyObject *plan)
{
    return PyTuple_CheckExact(plan) && PyTuple_GET_SIZE(plan) == PLAN_SIZE
           && PyDict_CheckExact(PyTuple_GET_ITEM(plan, KINDS)) && texts(PyTuple_GET_ITEM(plan, NEEDED), NAMES_MAX)
           && PyLong_CheckExact(PyTuple_GET_ITEM(plan, LONGEST)) && PyCallable_Check(PyTuple_GET_ITEM(plan, MAKE));
}

/* Whether it is family and side, as texts that the key may begin with, and the names of what follows there. */
static int
sound_kind(PyObject *kind)
{
    return PyTuple_CheckExact(kind) && PyTuple_GET_SIZE(kind) == KIND_SIZE
           && PyUnicode_CheckExact(PyTuple_GET_ITEM(kind, FAMILY)) && PyUnicode_IS_ASCII(PyTuple_GET_ITEM(kind, FAMILY))
           && PyUnicode_CheckExact(PyTuple_GET_ITEM(kind, SIDE)) && texts(PyTuple_GET_ITEM(kind, NAMES), NAMES_MAX);
}

/* 1 if all attributes are there that each event has, none of them too long; 0 if not, -1 with an error. */
static int
whole(PyObject *attributes, PyObject *plan)
{
    PyObject *names = PyTuple_GET_ITEM(plan, NEEDED);
    Py_ssize_t longest = PyLong_AsSsize_t(PyTuple_GET_ITEM(plan, LONGEST));
    if (longest == -1 && PyErr_Occurred())
        return -1;
    for (Py_ssize_t n = 0; n < PyTuple_GET_SIZE(names); n++) {
        PyObject *found = value(attributes, PyTuple_GET_ITEM(names, n));
        if (found == NULL)
            return PyErr_Occurred() ? -1 : 0;
        if (PyUnicode_GET_LENGTH(found) > longest)
            return 0;
    }
    return 1;
}

/* Return the key that both halves bear: the family, and what stands in the attributes that tell inferences apart. The
 * last of them must be there; NULL without an error if it is not. */
static PyObject *
key_of(PyObject *attributes, PyObject *kind)
{
    PyObject *family = PyTuple_GET_ITEM(kind, FAMILY), *names = PyTuple_GET_ITEM(kind, NAMES), *found[NAMES_MAX];
    Py_ssize_t count = PyTuple_GET_SIZE(names), size = PyUnicode_GET_LENGTH(family) + count;
    for (Py_ssize_t n = 0; n < count; n++) {
        found[n] = value(attributes, PyTuple_GET_ITEM(names, n));
        if (found[n] == NULL && PyErr_Occurred())
            return NULL;
        size += found[n] == NULL ? 0 : PyUnicode_GET_LENGTH(found[n]);
    }
    if (found[count - 1] == NULL)
        return NULL;
    PyObject *key = PyUnicode_New(size, 127);
    if (key == NULL)
        return NULL;
    char *at = (char *)PyUnicode_1BYTE_DATA(key);
    memcpy(at, PyUnicode_1BYTE_DATA(family), (size_t)PyUnicode_GET_LENGTH(family));
    at += PyUnicode_GET_LENGTH(family);
    for (Py_ssize_t n = 0; n < count; n++) {
        *at++ = SEPARATOR;
        if (found[n] == NULL)
            continue;
        memcpy(at, PyUnicode_1BYTE_DATA(found[n]), (size_t)PyUnicode_GET_LENGTH(found[n]));
        at += PyUnicode_GET_LENGTH(found[n]);
    }
    return key;
}

static PyObject *
made(PyObject *plan, PyObject *kind, PyObject *key, PyObject *received_at, const Head *head, const char *body)
{
    PyObject *data = PyBytes_FromStringAndSize(body, (Py_ssize_t)head->length);
    PyObject *size = PyLong_FromLongLong(head->characters + head->length), *half = NULL;
    if (data != NULL && size != NULL) {
        PyObject *given[] = {key, PyTuple_GET_ITEM(kind, SIDE), received_at, PyTuple_GET_ITEM(kind, FAMILY),
                             head->attributes, data, size};
        half = PyObject_Vectorcall(PyTuple_GET_ITEM(plan, MAKE), given, 7, NULL);
    }
    Py_XDECREF(data);
    Py_XDECREF(size);
    return half;
}

/* Return the half that a request is; None if it is none, or Python has to look at it. `body` has as many bytes as the
 * head says. The attributes are texts of ASCII: _heads.c made them. */
PyObject *
plain_half(PyObject *plan, const Head *head, PyObject *received_at, const char *body)
{
    int there = head->escaped ? 0 : whole(head->attributes, plan);
    if (there != 1)
        return there < 0 ? NULL : Py_NewRef(Py_None);
    PyObject *type = value(head->attributes, PyTuple_GET_ITEM(PyTuple_GET_ITEM(plan, NEEDED), 0));
    PyObject *kind = type == NULL ? NULL : PyDict_GetItemWithError(PyTuple_GET_ITEM(plan, KINDS), type);
    if (kind == NULL)
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    if (!sound_kind(kind))
        return PyErr_Format(PyExc_TypeError, "Expected of a kind its family, its side and the names of its key.");
    PyObject *key = key_of(head->attributes, kind);
    if (key == NULL)
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    PyObject *half = made(plan, kind, key, received_at, head, body);
    Py_DECREF(key);
    return half;
}
