/* What _hotpath.c offers to the doors: `read_head` of _heads.c and `find_values` of _picks.c. */
#ifndef RECORDERS_DOORS_H
#define RECORDERS_DOORS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

extern PyMethodDef heads_methods[], picks_methods[];

static inline int
add_doors(PyObject *module)
{
    return PyModule_AddFunctions(module, heads_methods) < 0 ? -1 : PyModule_AddFunctions(module, picks_methods);
}

#endif
