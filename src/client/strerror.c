/* SPDX-License-Identifier: Apache-2.0 */
/* Errors as text, and the library's version. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <busrt/client.h>

#define PUBLIC __attribute__((visibility("default")))

PUBLIC const char *busrt_version(void)
{
        return BUSRT_VERSION_STRING;
}
