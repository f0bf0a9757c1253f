/* SPDX-License-Identifier: Apache-2.0 */

/* Result codes and what they mean here. The contract of each function is in vss.h. */

#include <lunshadow/vss.h>

#include <string.h>

/* A documented list misprints E_NOTIMPL as this; people look it up as they read it. */
#define MISPRINTED_NOTIMPL ((HRESULT)0x80000001u)

#define MAX_HEX_DIGITS     8
#define MAX_DECIMAL_DIGITS 10

/* Code and name from one word, so that they cannot differ. */
#define CODE(constant) constant, #constant

#define RETRY_ADVICE "Wait 10 minutes and try again, up to 3 times."

#define ASR_ONLY                                                                                   \
    "Belongs to Windows Automated System Recovery, which rebuilds the disks of a dead machine. "   \
    "It does not arise on Linux."

#define REMOTE_SHARE_ONLY                                                                          \
    "Belongs to shadow copies of remote Windows file shares, which lunshadow does not make. It "   \
    "does not arise on Linux."

#define CLUSTER_ONLY                                                                               \
    "Belongs to the Windows cluster service and does not arise on Linux. Under a Linux cluster "   \
    "manager, take the resource offline yourself before a break or a resync."

struct code_row {
    HRESULT code;
    const char *name;
    const char *explanation;
};

/* One line for the code, the rest for the text: clang-format would align each row differently. */
/* clang-format off */
static const struct code_row code_table[] = {
    {CODE(S_OK),
     "The operation succeeded. Nothing needs to be done."},
    {CODE(S_FALSE),
     "A success with a reservation: there is nothing more to return, no such value is set, or "
     "a document could not be loaded. Look at the outputs before using them."},
    {CODE(E_NOTIMPL),
     "This provider, or the platform level of the session, does not offer the operation. A "
     "hardware copy, for one, goes back by resync and not by revert."},
    {CODE(E_POINTER),
     "The calling program passed NULL where a result was to be stored. Report it to the maker "
     "of that program."},
    {CODE(E_ABORT),
     "A part of the work was given up before its end. lunshadow turns this answer of a "
     "provider into VSS_E_UNEXPECTED_PROVIDER_ERROR; the event names the cause."},
    {CODE(E_FAIL),
     "The operation failed for a reason that has no code of its own. Read the error record and "
     "the log."},
    {CODE(E_UNEXPECTED),
     "An internal failure, as a session with a platform level before Windows 7 reports it "
     "(VSS_E_UNEXPECTED on newer ones). Read the error record and the log."},
    {CODE(E_ACCESSDENIED),
     "This user may not use lunshadow's state directory or one of the devices. Run it as root "
     "or as a member of the configured admin group."},
    {CODE(E_OUTOFMEMORY),
     "Memory ran out, or no more files may be open. Free some or raise the limit of the process or "
     "service, then try again."},
    {CODE(E_INVALIDARG),
     "A parameter is missing, malformed or out of range, or two flags exclude each other. "
     "Correct the call or the command line."},
    {CODE(RPC_E_CHANGED_MODE),
     "This thread was already initialised with the other threading model. Keep the first "
     "choice, or end it before choosing again."},

    {CODE(VSS_E_BAD_STATE),
     "The call came at the wrong moment: the session is not initialised, is of the other kind "
     "(backup or restore), or is not that far yet. Check the order of calls."},
    {CODE(VSS_E_UNEXPECTED),
     "Something failed below that should not fail, such as the registry or a system call. Read "
     "the error record and the log, and report it if it comes back."},
    {CODE(VSS_E_PROVIDER_ALREADY_REGISTERED),
     "A provider with this id is already known. Look for two plug-ins that carry the same id."},
    {CODE(VSS_E_PROVIDER_NOT_REGISTERED),
     "No provider with this id is loaded. Compare the id with the [array] sections of the "
     "configuration."},
    {CODE(VSS_E_PROVIDER_VETO),
     "The provider refused the operation and says why in an event. Remove that cause; if there "
     "is none to remove, wait 10 minutes and try again, up to 3 times."},
    {CODE(VSS_E_PROVIDER_IN_USE),
     "The provider still has work in flight. Let its sets and resyncs end before it is "
     "removed."},
    {CODE(VSS_E_OBJECT_NOT_FOUND),
     "No volume, shadow copy, set, writer or component goes by this name, id or index, or it "
     "lies outside the session's context. Check the name and the context."},
    {CODE(VSS_S_ASYNC_PENDING),
     "The operation is still running. Wait for it or ask again."},
    {CODE(VSS_S_ASYNC_FINISHED),
     "The operation ended well. Its results can be read now."},
    {CODE(VSS_S_ASYNC_CANCELLED),
     "The operation was cancelled on request. Start it anew if it is still wanted."},
    {CODE(VSS_E_VOLUME_NOT_SUPPORTED),
     "No provider can copy this volume, or a resync onto it is not allowed. Its LUNs must "
     "belong to a configured array and have a unique page 83 identity."},
    {CODE(VSS_E_OBJECT_ALREADY_EXISTS),
     "This component was already added to the session. Leave the second addition out."},
    {CODE(VSS_E_VOLUME_NOT_SUPPORTED_BY_PROVIDER),
     "The provider named for this volume cannot copy it. Name another provider, or none to let "
     "lunshadow choose."},
    {CODE(VSS_E_UNEXPECTED_PROVIDER_ERROR),
     "The provider crashed, hung or gave an answer it may not give; the event says which. "
     RETRY_ADVICE},
    {CODE(VSS_E_CORRUPT_XML_DOCUMENT),
     "The document breaks off or is damaged. Take it from its source again."},
    {CODE(VSS_E_INVALID_XML_DOCUMENT),
     "The document is not the Backup Components or Writer Metadata Document that is needed "
     "here. Check that the right file was given and that nobody edited it."},
    {CODE(VSS_E_MAXIMUM_NUMBER_OF_VOLUMES_REACHED),
     "The set is full: a set holds at most 64 volumes. Put the others into a second set."},
    {CODE(VSS_E_FLUSH_WRITES_TIMEOUT),
     "A filesystem of the set was not written out in time. "
     RETRY_ADVICE},
    {CODE(VSS_E_HOLD_WRITES_TIMEOUT),
     "Writes would have been held longer than allowed, so the set was given up. "
     RETRY_ADVICE
     " If it persists, put fewer LUNs into the set."},
    {CODE(VSS_E_UNEXPECTED_WRITER_ERROR),
     "A writer gave an answer that it may not give. Read the log for its name, and gather the "
     "writer status."},
    {CODE(VSS_E_SNAPSHOT_SET_IN_PROGRESS),
     "Another session on this machine is creating a set, and only one may. Try again when it "
     "is done."},
    {CODE(VSS_E_MAXIMUM_NUMBER_OF_SNAPSHOTS_REACHED),
     "The array holds as many copies of this volume as it can. Delete old ones, then try "
     "again."},
    {CODE(VSS_E_WRITER_INFRASTRUCTURE),
     "Writers could not be started or spoken to at all. Check that writers.d is readable and "
     "its programs can be run."},
    {CODE(VSS_E_WRITER_NOT_RESPONDING),
     "A writer died or missed its time limit. Read the log for its name, run its program by "
     "hand, then try again."},
    {CODE(VSS_E_WRITER_ALREADY_SUBSCRIBED),
     "The writer instance already takes part in the session. Look for a program that writers.d "
     "lists twice."},
    {CODE(VSS_E_UNSUPPORTED_CONTEXT),
     "The context or its attribute bits do not suit the operation or the provider. Choose "
     "another context; a revert, for one, needs a persistent copy."},
    {CODE(VSS_E_VOLUME_IN_USE),
     "The volume is in use. Stop what uses it and unmount it, then try again."},
    {CODE(VSS_E_MAXIMUM_DIFFAREA_ASSOCIATIONS_REACHED),
     "Belongs to the copy-on-write storage of the Windows system provider and does not arise "
     "on Linux."},
    {CODE(VSS_E_INSUFFICIENT_STORAGE),
     "The array has no room for the copy. Delete old copies or enlarge the pool, then try "
     "again."},
    {CODE(VSS_E_NO_SNAPSHOTS_IMPORTED),
     "Not one copy of the set was found on this host. Check that the array maps the copies to "
     "this initiator and that the portal answers; unwanted LUNs are yours to remove."},
    {CODE(VSS_S_SOME_SNAPSHOTS_NOT_IMPORTED),
     "The import succeeded in part: a LUN is missing, or its identity differs from the "
     "document. Use what arrived only if it is enough, and see the list of the rest."},
    {CODE(VSS_E_SOME_SNAPSHOTS_NOT_IMPORTED),
     "Some copies of the set did not arrive on this host. Check mapping and portals for those "
     "that the list names."},
    {CODE(VSS_E_MAXIMUM_NUMBER_OF_REMOTE_MACHINES_REACHED),
     REMOTE_SHARE_ONLY},
    {CODE(VSS_E_REMOTE_SERVER_UNAVAILABLE),
     REMOTE_SHARE_ONLY},
    {CODE(VSS_E_REMOTE_SERVER_UNSUPPORTED),
     REMOTE_SHARE_ONLY},
    {CODE(VSS_E_REVERT_IN_PROGRESS),
     "The volume is being reverted already. Wait until that is done."},
    {CODE(VSS_E_REVERT_VOLUME_LOST),
     "The volume went away while it was being reverted. Its content is not valid: make the LUN "
     "reachable again, then repeat."},
    {CODE(VSS_E_REBOOT_REQUIRED),
     "This host is in a state that only a restart clears. Restart it, then try again."},
    {CODE(VSS_E_TRANSACTION_FREEZE_TIMEOUT),
     "Transactions on the volumes were not frozen in time. Try again under less load, or ask "
     "for a copy with VSS_VOLSNAP_ATTR_NOT_TRANSACTED."},
    {CODE(VSS_E_TRANSACTION_THAW_TIMEOUT),
     "Transactions on the volumes were not resumed in time, so the set was given up. Check "
     "that the applications run, then try again."},
    {CODE(VSS_E_UNSELECTED_VOLUME),
     "A destination LUN carries a volume outside the recovery set, which the resync would "
     "overwrite. Add that volume, or accept its loss with VSS_RECOVERY_NO_VOLUME_CHECK."},
    {CODE(VSS_E_SNAPSHOT_NOT_IN_SET),
     "The document does not hold this shadow copy. Load the document that was saved when the "
     "copy was made."},
    {CODE(VSS_E_NESTED_VOLUME_LIMIT),
     "The volume lies in an image file on another volume, nested too deep to be held safely. "
     "Copy the outer volume instead."},
    {CODE(VSS_E_VOLUME_NOT_LOCAL),
     "The volume belongs to another host. Run lunshadow there, or name the LUN by its iSCSI "
     "address."},
    {CODE(VSS_E_CLUSTER_TIMEOUT),
     CLUSTER_ONLY},
    {CODE(VSS_E_NOT_SUPPORTED),
     "The operation is not supported for this object. Check its kind and what the provider can "
     "do."},

    {CODE(VSS_E_WRITERERROR_PARTIAL_FAILURE),
     "Some components of a writer failed and others did not. Do not rely on the failed ones, "
     "which the writer lists."},
    {CODE(VSS_E_WRITERERROR_INCONSISTENTSNAPSHOT),
     "The set leaves out a volume that a writer's data lies on. Add all volumes of that "
     "writer, or exclude it, and make the set again."},
    {CODE(VSS_E_WRITERERROR_OUTOFRESOURCES),
     "A writer ran out of memory or another resource. Give it more. "
     RETRY_ADVICE},
    {CODE(VSS_E_WRITERERROR_TIMEOUT),
     "The time between freeze and thaw was too long for a writer. "
     RETRY_ADVICE},
    {CODE(VSS_E_WRITERERROR_RETRYABLE),
     "A writer failed for a passing reason. "
     RETRY_ADVICE},
    {CODE(VSS_E_WRITERERROR_NONRETRYABLE),
     "A writer failed for a reason that trying again will not change. Read that application's "
     "log and repair it first."},
    {CODE(VSS_E_WRITERERROR_RECOVERY_FAILED),
     "A writer could not bring its data in the copy into order. Do not use that data; read the "
     "writer's log and make a new set."},
    {CODE(VSS_E_BREAK_REVERT_ID_FAILED),
     "The copies cannot take the originals' disk IDs, as a rule because an original is still "
     "visible; nothing was changed. Mask the originals, or break without reverting."},
    {CODE(VSS_E_LEGACY_PROVIDER),
     "The provider of this copy cannot resync LUNs. Update its plug-in, or copy the data back "
     "from the mounted copy."},
    {CODE(VSS_E_MISSING_DISK),
     "A LUN that must be here is not reachable from this host. Check its mapping, the portal "
     "and the login, then try again."},
    {CODE(VSS_E_MISSING_HIDDEN_VOLUME),
     "A LUN arrived, but a volume of its copy did not show up. Check the label of the LUN and "
     "scan again."},
    {CODE(VSS_E_MISSING_VOLUME),
     "A volume that must be here was not found on its LUN. Check the label of the LUN and scan "
     "again."},
    {CODE(VSS_E_AUTORECOVERY_FAILED),
     "Writers could not put their data in the new copy in order, so it is not ready for use. "
     "Read the log, then make a new set."},
    {CODE(VSS_E_DYNAMIC_DISK_ERROR),
     "The LUN carries Windows dynamic disk metadata, which cannot be handled safely. Use LUNs "
     "with plain MBR or GPT labels."},
    {CODE(VSS_E_NONTRANSPORTABLE_BCD),
     "Belongs to the Windows boot configuration and does not arise on Linux."},
    {CODE(VSS_E_CANNOT_REVERT_DISKID),
     "A disk ID could not be written, so the IDs of all LUNs of the set were put back. See "
     "which LUN refuses writes, then run the resync again."},
    {CODE(VSS_E_RESYNC_IN_PROGRESS),
     "A resync is already running on this machine, or one broke off and is not cleaned up. "
     "Wait for it, or run 'lunshadow recover'."},
    {CODE(VSS_E_CLUSTER_ERROR),
     CLUSTER_ONLY},
    {CODE(VSS_E_ASRERROR_DISK_ASSIGNMENT_FAILED),
     ASR_ONLY},
    {CODE(VSS_E_ASRERROR_DISK_RECREATION_FAILED),
     ASR_ONLY},
    {CODE(VSS_E_ASRERROR_NO_ARCPATH),
     ASR_ONLY},
    {CODE(VSS_E_ASRERROR_MISSING_DYNDISK),
     ASR_ONLY},
    {CODE(VSS_E_ASRERROR_SHARED_CRIDISK),
     ASR_ONLY},
    {CODE(VSS_E_ASRERROR_DATADISK_RDISK0),
     ASR_ONLY},
    {CODE(VSS_E_ASRERROR_RDISK0_TOOSMALL),
     ASR_ONLY},
    {CODE(VSS_E_ASRERROR_CRITICAL_DISKS_TOO_SMALL),
     ASR_ONLY},
    {CODE(VSS_E_WRITER_STATUS_NOT_AVAILABLE),
     "There is no status for this writer, because it has gone or was not asked. Gather the "
     "writer status again."},
    {CODE(VSS_E_ASRERROR_DYNAMIC_VHD_NOT_SUPPORTED),
     ASR_ONLY},
    {CODE(VSS_E_CRITICAL_VOLUME_ON_INVALID_DISK),
     ASR_ONLY},
    {CODE(VSS_E_ASRERROR_RDISK_FOR_SYSTEM_DISK_NOT_FOUND),
     ASR_ONLY},
    {CODE(VSS_E_ASRERROR_NO_PHYSICAL_DISK_AVAILABLE),
     ASR_ONLY},
    {CODE(VSS_E_ASRERROR_FIXED_PHYSICAL_DISK_AVAILABLE_AFTER_DISK_EXCLUSION),
     ASR_ONLY},
    {CODE(VSS_E_ASRERROR_CRITICAL_DISK_CANNOT_BE_EXCLUDED),
     ASR_ONLY},
    {CODE(VSS_E_ASRERROR_SYSTEM_PARTITION_HIDDEN),
     ASR_ONLY},
    {CODE(VSS_E_FSS_TIMEOUT),
     REMOTE_SHARE_ONLY},

};
/* clang-format on */

#define CODE_COUNT (sizeof code_table / sizeof code_table[0])

static const struct code_row *find_by_code(HRESULT code)
{
    for (size_t i = 0; i < CODE_COUNT; i++) {
        if (code_table[i].code == code)
            return &code_table[i];
    }
    return NULL;
}

/* Not tolower: what it does to 'I' depends on the locale. */
static char ascii_upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static int is_same_name(const char *a, const char *b)
{
    while (*a != '\0' && ascii_upper(*a) == ascii_upper(*b)) {
        a++;
        b++;
    }
    return ascii_upper(*a) == ascii_upper(*b);
}

static const struct code_row *find_by_name(const char *name)
{
    for (size_t i = 0; i < CODE_COUNT; i++) {
        if (is_same_name(code_table[i].name, name))
            return &code_table[i];
    }
    return NULL;
}

/* Value of a hexadecimal digit, -1 if it is none. */
static int hex_digit_value(char c)
{
    char upper = ascii_upper(c);

    if (upper >= '0' && upper <= '9')
        return upper - '0';
    if (upper >= 'A' && upper <= 'F')
        return upper - 'A' + 10;
    return -1;
}

/* All of digits must be 1 to 8 hexadecimal digits. strtoul would take blanks and signs. */
static int parse_hex(const char *digits, HRESULT *out_code)
{
    uint32_t value = 0;
    size_t length = strlen(digits);

    if (length == 0 || length > MAX_HEX_DIGITS)
        return 0;
    for (size_t i = 0; i < length; i++) {
        int digit = hex_digit_value(digits[i]);

        if (digit < 0)
            return 0;
        value = value << 4 | (uint32_t)digit;
    }
    *out_code = (HRESULT)value;
    return 1;
}

static int parse_decimal(const char *text, HRESULT *out_code)
{
    int is_negative = text[0] == '-';
    const char *digits = text + is_negative;
    size_t length = strlen(digits);
    int64_t value = 0;

    if (length == 0 || length > MAX_DECIMAL_DIGITS)
        return 0;
    for (size_t i = 0; i < length; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return 0;
        value = value * 10 + (digits[i] - '0');
    }
    if (is_negative)
        value = -value;
    if (value < INT32_MIN || value > INT32_MAX)
        return 0;
    *out_code = (HRESULT)value;
    return 1;
}

static int parse_number(const char *text, HRESULT *out_code)
{
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
        return parse_hex(text + 2, out_code);
    return parse_decimal(text, out_code);
}

const char *vss_error_name(HRESULT code)
{
    const struct code_row *row = find_by_code(code);

    return row != NULL ? row->name : NULL;
}

const char *vss_error_explanation(HRESULT code)
{
    const struct code_row *row = find_by_code(code);

    if (row != NULL)
        return row->explanation;
    if (FAILED(code))
        return "A failure with a code that lunshadow does not know, perhaps from a newer provider "
               "or "
               "writer. Read the error record and the log.";
    return "A success with a code that lunshadow does not know. Nothing needs to be done.";
}

int vss_error_lookup(const char *text, HRESULT *out_code)
{
    const struct code_row *row = NULL;
    HRESULT code = S_OK;

    if (out_code != NULL)
        *out_code = S_OK;
    if (text == NULL)
        return 0;

    if (parse_number(text, &code))
        row = find_by_code(code == MISPRINTED_NOTIMPL ? E_NOTIMPL : code);
    else
        row = find_by_name(text);
    if (row == NULL)
        return 0;
    if (out_code != NULL)
        *out_code = row->code;
    return 1;
}

int vss_error_at(size_t index, HRESULT *out_code, const char **out_name)
{
    int is_inside = index < CODE_COUNT;

    if (out_code != NULL)
        *out_code = is_inside ? code_table[index].code : S_OK;
    if (out_name != NULL)
        *out_name = is_inside ? code_table[index].name : NULL;
    return is_inside;
}
