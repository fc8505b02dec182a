/* What _hotpath.c offers to the doors: `read_request` of _heads.c, `find_values` and `fill` of _picks.c; and to who
 * composes: `transpose` of _transpose.c. What _halves.c offers to _heads.c. */
#ifndef RECORDERS_DOORS_H
#define RECORDERS_DOORS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* What a head came to: its attributes have so many characters, and some of them may be escaped. */
typedef struct {
    long long length, characters;
    int escaped;
    PyObject *token, *attributes;
} Head;

int sound_plan(PyObject *plan);
PyObject *plain_half(PyObject *plan, const Head *head, PyObject *received_at, const char *body);

extern PyMethodDef heads_methods[], picks_methods[], transpose_methods[];

static inline int
add_doors(PyObject *module)
{
    PyMethodDef *offered[] = {heads_methods, picks_methods, transpose_methods};
    for (int n = 0; n < 3; n++)
        if (PyModule_AddFunctions(module, offered[n]) < 0)
            return -1;
    return 0;
}

#endif
