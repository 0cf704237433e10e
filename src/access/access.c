/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verdicts on names (docs/protocol.md, 1).
 *
 * Names travel in frames that end them with a NUL, into logs and onto terminals, and "%%" divides
 * them into a primary and an instance. So a name may hold nothing that would be read as an end or
 * as a command there, and no part around "%%" may be empty. Everything else is allowed.
 */
#include <string.h>

#include "access/access.h"
#include "basic/utf8.h"
#include "wire/frame.h"
#include "wire/handshake.h"

#define SEPARATOR_LEN (sizeof(WIRE_SECONDARY_SEPARATOR) - 1)

size_t access_primary_len(const char *name, size_t len)
{
        const char *separator =
                len ? memmem(name, len, WIRE_SECONDARY_SEPARATOR, SEPARATOR_LEN) : NULL;

        return separator ? (size_t)(separator - name) : len;
}

/* C0 with NUL, DEL, and C1, which in UTF-8 is c2 80 to c2 9f. The text is valid UTF-8. */
static bool name_has_control(const char *name, size_t len)
{
        const uint8_t *p = (const uint8_t *)name;

        for (size_t i = 0; i < len; i++)
                if (p[i] < 0x20 || p[i] == 0x7f || (p[i] == 0xc2 && p[i + 1] < 0xa0))
                        return true;
        return false;
}

/* Only the first separator has a meaning here, but other programs may split at any of them: so no
 * part around any may be empty. They are found from the left and do not overlap: "a%%%" is "a" and
 * "%". */
static bool name_has_empty_part(const char *name, size_t len)
{
        for (;;) {
                size_t part = access_primary_len(name, len);

                if (part == 0)
                        return true;
                if (part == len)
                        return false;
                name += part + SEPARATOR_LEN;
                len -= part + SEPARATOR_LEN;
        }
}

static const char *name_fault(const char *name, size_t len)
{
        if (len == 0)
                return "name is empty";
        if (len > WIRE_NAME_MAX)
                return "name is too long";
        if (name[0] == '.')
                return "name begins with a dot, which is reserved for the broker";
        if (memchr(name, 0, len))
                return "name holds a NUL";
        if (!utf8_is_valid(name, len))
                return "name is not UTF-8";
        if (name_has_control(name, len))
                return "name holds a control character";
        if (name_has_empty_part(name, len))
                return "name has an empty part beside " WIRE_SECONDARY_SEPARATOR;
        return NULL;
}

struct verdict access_check_name(const char *name, size_t len)
{
        const char *fault = name_fault(name, len);

        return (struct verdict){
                .allow = !fault,
                .code = fault ? WIRE_DATA : WIRE_OK,
                .reason = fault ? fault : "name is valid",
        };
}
