/* SPDX-License-Identifier: Apache-2.0 */
/* Errors as text: what the broker answers in the bus's words, anything else in libc's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/internal.h"
#include "wire/frame.h"

PUBLIC const char *busrt_version(void)
{
        return BUSRT_VERSION_STRING;
}

int client_errno(uint8_t result)
{
        switch (result) {
        case WIRE_OK:
                return 0;
        case WIRE_NOT_REGISTERED:
                return -EHOSTUNREACH;
        case WIRE_DATA:
                return -EBADMSG;
        case WIRE_IO:
                return -EIO;
        case WIRE_NOT_SUPPORTED:
                return -EOPNOTSUPP;
        case WIRE_BUSY:
                return -EBUSY;
        case WIRE_NOT_DELIVERED:
                return -ENOBUFS;
        case WIRE_TIMEOUT:
                return -ETIME;
        case WIRE_ACCESS:
                return -EACCES;
        default: /* WIRE_OTHER, and what later brokers may say */
                return -EREMOTE;
        }
}

PUBLIC const char *busrt_strerror(int error)
{
        const char *text;

        /* INT_MIN has no positive. */
        switch (error < -4095 ? 0 : error < 0 ? -error : error) {
        case 0:
                return error ? "Unknown error" : "Success";
        case EHOSTUNREACH:
                return "Not registered";
        case EBADMSG:
                return "Refused as malformed";
        case EIO:
                return "Input/output error";
        case EREMOTE:
                return "The broker failed";
        case EOPNOTSUPP:
                return "Not supported by the broker";
        case EBUSY:
                return "Busy, or the name is taken";
        case ENOBUFS:
                return "Not delivered: the receiver's queue is full";
        case ETIME:
                return "Timeout in the broker";
        case EACCES:
                return "Access denied";
        case EPROTO:
                return "Protocol error";
        case EREMOTEIO:
                return "The call was answered with an error";
        case ESTALE:
                return "The cursor is not known: it has expired or ended";
        case ETIMEDOUT:
                return "Timed out";
        case ENOTCONN:
                return "Not connected";
        case ECONNRESET:
                return "Connection closed by the broker";
        case ESHUTDOWN:
                return "Disconnected by this program";
        case ECHILD:
                return "Not usable after fork";
        case EDEADLK:
                return "Would wait inside a handler";
        default:
                text = strerrordesc_np(error < 0 ? -error : error);
                return text ? text : "Unknown error";
        }
}
