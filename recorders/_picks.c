/* Picks: the values of all paths of a mapping, out of a document of exact built-in types (docs/adr/0074).
 *
 * Nothing is called but what looks into dicts, lists and tuples; their keys are texts, as parsers make them.
 * Whatever is of a type that could answer otherwise is declined: recorders/doors/picks.py finds the same in every document.
 * tests/laws/test_picks.py holds the two together.
 */
#include "_doors.h"

enum { PATHS, FALLBACK, PICK_SIZE };

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

PyMethodDef picks_methods[] = {
    {"find_values", (PyCFunction)(void (*)(void))find_values, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};
