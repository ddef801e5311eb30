// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: tracepoints, here made of what trace.h says
 */
#define CREATE_TRACE_POINTS
#include "trace.h"
