/* What _hotpath.c offers besides the hot path: `cut`. */
#ifndef RECORDERS_CUT_H
#define RECORDERS_CUT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

extern PyMethodDef cut_methods[];

#endif
