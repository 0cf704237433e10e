/* SPDX-License-Identifier: Apache-2.0 */
/* As counted-strings.h, of what prints into memory of its own. For a test that is linked with
 * counted_printf, too. */
#pragma once

#include <stdarg.h>

#include "counted-malloc.h"

int __real_vasprintf(char **ret, const char *format, va_list args);
int __wrap_vasprintf(char **ret, const char *format, va_list args);
int __wrap_asprintf(char **ret, const char *format, ...);

int __wrap_vasprintf(char **ret, const char *format, va_list args)
{
        int n = memory_asked(1) ? __real_vasprintf(ret, format, args) : -1;

        memory.n_live += n >= 0;
        return n;
}

int __wrap_asprintf(char **ret, const char *format, ...)
{
        va_list args;
        int n;

        va_start(args, format);
        n = __wrap_vasprintf(ret, format, args);
        va_end(args);
        return n;
}
