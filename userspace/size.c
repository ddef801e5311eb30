// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: numbers on the command line
 */
#include "size.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool vmlet_parse_size(const char *text, uint64_t *size)
{
	static const char units[] = "KMG";
	const char *unit;
	unsigned int shift = 0;
	char *end;

	errno = 0;
	*size = strtoull(text, &end, 0);
	if (errno || end == text || *text == '-')
		return false;
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		shift = 10 * (unit - units + 1);
		end++;
	}
	if (*end || *size > UINT64_MAX >> shift)
		return false;
	*size <<= shift;
	return true;
}

long vmlet_parse_count(const char *text, double unit)
{
	char *end;
	double value = strtod(text, &end);

	return *text && !*end && value * unit >= 1 && value * unit < 1e9 ? value * unit : 0;
}
