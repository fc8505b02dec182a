/* What _hotpath.c offers to the doors: `read_head`. */
#ifndef RECORDERS_HEADS_H
#define RECORDERS_HEADS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

extern PyMethodDef heads_methods[];

#endif
