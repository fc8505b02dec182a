/* Picks: the values of all paths of a mapping, out of a document of exact built-in types (docs/adr/0074).
 *
 * Nothing is called but casts, and what looks into dicts, lists and tuples; their keys are texts, as parsers make them.
 * Whatever is of a type that could answer otherwise is declined: recorders/doors/picks.py finds the same in every document.
 * tests/laws/test_picks.py holds the two together.
 */
#include "_doors.h"

enum { PATHS, FALLBACK, PICK_SIZE };
enum { PICK, TARGET, PLAIN, CAST, NEEDED, ENTRY_SIZE };

/* Go one step further: 1 with what is there or NULL in `at`, 0 to decline, -1 with an error. */
static int
go(PyObject **at, PyObject *step)
{
    PyObject *in = *at;
    int place = PyLong_CheckExact(step);
    if (PyDict_CheckExact(in)) {
        if (place)
            return 0;
        *at = PyDict_GetItemWithError(in, step);
        return *at == NULL && PyErr_Occurred() ? -1 : 1;
    }
    int is_list = PyList_CheckExact(in);
    if (!is_list && !PyTuple_CheckExact(in)) {
        *at = NULL;
        return !PyList_Check(in) && !PyTuple_Check(in);
    }
    if (!place) {
        *at = NULL;
        return 1;
    }
    Py_ssize_t size = is_list ? PyList_GET_SIZE(in) : PyTuple_GET_SIZE(in), n = PyLong_AsSsize_t(step);
    if (n == -1 && PyErr_Occurred())
        return -1;
    n += n < 0 ? size : 0;
    *at = n < 0 || n >= size ? NULL : is_list ? PyList_GET_ITEM(in, n) : PyTuple_GET_ITEM(in, n);
    return 1;
}

/* Find what a pick is in a document: the first that is there and not None, as `go` answers. */
static int
find(PyObject *pick, PyObject *document, PyObject *absent, PyObject **found)
{
    PyObject *paths = PyTuple_GET_ITEM(pick, PATHS), *none = absent;
    for (Py_ssize_t p = 0; p < PyTuple_GET_SIZE(paths); p++) {
        PyObject *path = PyTuple_GET_ITEM(paths, p), *at = document;
        for (Py_ssize_t s = 0; s < PyTuple_GET_SIZE(path) && at != NULL; s++) {
            int went = go(&at, PyTuple_GET_ITEM(path, s));
            if (went != 1)
                return went;
        }
        *found = at;
        if (at == Py_None)
            none = Py_None;
        else if (at != NULL)
            return 1;
    }
    PyObject *fallback = PyTuple_GET_ITEM(pick, FALLBACK);
    *found = fallback == absent ? none : fallback;
    return 1;
}

static int
sound_path(PyObject *path)
{
    if (!PyTuple_CheckExact(path) || PyTuple_GET_SIZE(path) == 0)
        return 0;
    for (Py_ssize_t s = 0; s < PyTuple_GET_SIZE(path); s++)
        if (!PyLong_CheckExact(PyTuple_GET_ITEM(path, s)) && !PyUnicode_CheckExact(PyTuple_GET_ITEM(path, s)))
            return 0;
    return 1;
}

/* Whether it is a pick: paths of names and places, and what stands for all. */
static int
sound(PyObject *pick)
{
    if (!PyTuple_CheckExact(pick) || PyTuple_GET_SIZE(pick) != PICK_SIZE)
        return 0;
    PyObject *paths = PyTuple_GET_ITEM(pick, PATHS);
    if (!PyTuple_CheckExact(paths))
        return 0;
    for (Py_ssize_t p = 0; p < PyTuple_GET_SIZE(paths); p++)
        if (!sound_path(PyTuple_GET_ITEM(paths, p)))
            return 0;
    return 1;
}

static PyObject *
find_values(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t given)
{
    if (given != 3 || !PyTuple_CheckExact(args[0]))
        return PyErr_Format(PyExc_TypeError, "Expected picks, a document, and what is absent.");
    Py_ssize_t count = PyTuple_GET_SIZE(args[0]);
    PyObject *values = PyList_New(count);
    int went = values == NULL ? -1 : 1;
    for (Py_ssize_t n = 0; n < count && went == 1; n++) {
        PyObject *pick = PyTuple_GET_ITEM(args[0], n), *found = NULL;
        if (!sound(pick)) {
            PyErr_SetString(PyExc_TypeError, "Expected of each pick its paths and what stands for all.");
            went = -1;
            break;
        }
        went = find(pick, args[1], args[2], &found);
        if (went == 1)
            PyList_SET_ITEM(values, n, Py_NewRef(found));
    }
    if (went == 1)
        return values;
    Py_XDECREF(values);
    return went < 0 ? NULL : Py_NewRef(Py_None);
}

/* Whether it says of a pick where its value goes: a feature's name or a place of the envelope, of what type a value is
 * that needs no cast, the cast, and whether it must be there. */
static int
sound_entry(PyObject *entry)
{
    if (!PyTuple_CheckExact(entry) || PyTuple_GET_SIZE(entry) != ENTRY_SIZE || !sound(PyTuple_GET_ITEM(entry, PICK)))
        return 0;
    PyObject *target = PyTuple_GET_ITEM(entry, TARGET);
    return (PyUnicode_CheckExact(target) || PyLong_CheckExact(target))
           && PyCallable_Check(PyTuple_GET_ITEM(entry, CAST)) && PyBool_Check(PyTuple_GET_ITEM(entry, NEEDED));
}

/* Put what was found where it goes, as one of its kind. 1 if it is done, 0 to decline, -1 with an error. */
static int
put(PyObject *entry, PyObject *found, PyObject *absent, PyObject *features, PyObject *envelope)
{
    PyObject *target = PyTuple_GET_ITEM(entry, TARGET);
    int feature = PyUnicode_CheckExact(target);
    if (found == absent || (found == Py_None && !feature))
        return PyTuple_GET_ITEM(entry, NEEDED) != Py_True;
    int plain = found == Py_None || (PyObject *)Py_TYPE(found) == PyTuple_GET_ITEM(entry, PLAIN);
    PyObject *held = Py_NewRef(found); /* a cast is Python, which may let go of what is found */
    PyObject *value = plain ? Py_NewRef(held) : PyObject_CallOneArg(PyTuple_GET_ITEM(entry, CAST), held);
    Py_DECREF(held);
    if (value == NULL)
        return -1;
    if (!feature) {
        Py_ssize_t place = PyLong_AsSsize_t(target);
        if (place == -1 && PyErr_Occurred())
            PyErr_Clear();
        return PyList_SetItem(envelope, place, value) < 0 ? -1 : 1;
    }
    int done = PyDict_SetItem(features, target, value);
    Py_DECREF(value);
    return done < 0 ? -1 : 1;
}

/* Return features and envelope of a document, each value found, cast and put where it goes. */
static PyObject *
fill(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t given)
{
    if (given != 4 || !PyTuple_CheckExact(args[0]) || !PyTuple_CheckExact(args[1]))
        return PyErr_Format(PyExc_TypeError, "Expected entries, an envelope, a document, and what is absent.");
    PyObject *features = PyDict_New(), *envelope = PySequence_List(args[1]), *filled = NULL;
    int went = features == NULL || envelope == NULL ? -1 : 1;
    for (Py_ssize_t n = 0; n < PyTuple_GET_SIZE(args[0]) && went == 1; n++) {
        PyObject *entry = PyTuple_GET_ITEM(args[0], n), *found = NULL;
        if (!sound_entry(entry)) {
            PyErr_SetString(PyExc_TypeError, "Expected of each entry its pick, where it goes, type, cast and need.");
            went = -1;
            break;
        }
        went = find(PyTuple_GET_ITEM(entry, PICK), args[2], args[3], &found);
        if (went == 1)
            went = put(entry, found, args[3], features, envelope);
    }
    PyObject *whole = went == 1 ? PyList_AsTuple(envelope) : NULL;
    if (whole != NULL)
        filled = PyTuple_Pack(2, features, whole);
    Py_XDECREF(whole);
    Py_XDECREF(features);
    Py_XDECREF(envelope);
    return filled || went || PyErr_Occurred() ? filled : Py_NewRef(Py_None);
}

PyMethodDef picks_methods[] = {
    {"fill", (PyCFunction)(void (*)(void))fill, METH_FASTCALL, NULL},
    {"find_values", (PyCFunction)(void (*)(void))find_values, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};
