/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_METADATA_SAMPLES_H
#define LUNSHADOW_TESTS_METADATA_SAMPLES_H

/* Writer Metadata Documents to test with. */

#define METADATA_OPEN  "<WRITER_METADATA xmlns=\"x-schema:#VssWriterMetadataInfo\" version=\"1.2\""
#define METADATA_CLOSE "</WRITER_METADATA>"
#define METADATA_OWN_OPEN                                                                          \
    "<WRITER_METADATA xmlns=\"x-schema:#VssWriterMetadataInfo\" "                                  \
    "xmlns:ls=\"urn:lunshadow:document:1\" version=\"1.2\""

#define DB_WRITER_ID     "a65faa63-5ea8-4ebc-9dbd-a0c4db26912a"
#define DB_INSTANCE_ID   "A6AD56C2-B509-4E6C-BB19-49D8F43532F0"
#define BOOT_WRITER_ID   "0BADA1DE-01A9-4625-8278-69E735F39DD2"
#define BOOT_INSTANCE_ID "11111111-2222-3333-4444-555555555555"

/* As a database server on a Windows host answers: file groups, one line, ids in capitals. */
#define WINDOWS_DB_METADATA                                                                        \
    METADATA_OPEN                                                                                  \
    " backupSchema=\"881\"><IDENTIFICATION writerId=\"" DB_WRITER_ID                               \
    "\" instanceId=\"" DB_INSTANCE_ID "\" instanceName=\"DB one\" friendlyName=\"DbServerWriter\"" \
    " usage=\"USER_DATA\" dataSource=\"TRANSACTION_DB\" majorVersion=\"1\" minorVersion=\"7\"/>"   \
    "<RESTORE_METHOD method=\"RESTORE_IF_CAN_BE_REPLACED\" writerRestore=\"always\""               \
    " rebootRequired=\"no\"/><BACKUP_LOCATIONS>"                                                   \
    "<FILE_GROUP logicalPath=\"SRV\\one\" componentName=\"master\" caption=\"main\""               \
    " restoreMetadata=\"no\" notifyOnBackupComplete=\"yes\" selectable=\"yes\""                    \
    " selectableForRestore=\"yes\" componentFlags=\"4\">"                                          \
    "<FILE_LIST path=\"D:\\data\" filespec=\"master.mdf\" filespecBackupType=\"3855\"/>"           \
    "<FILE_LIST path=\"%SystemRoot%\\log\" filespec=\"*.ldf\" recursive=\"yes\""                   \
    " filespecBackupType=\"3855\"/></FILE_GROUP>"                                                  \
    "<FILE_GROUP logicalPath=\"SRV\\one\" componentName=\"K\303\244ufer\" restoreMetadata=\"no\""  \
    " notifyOnBackupComplete=\"no\" selectable=\"yes\" selectableForRestore=\"no\""                \
    " componentFlags=\"0\"/>"                                                                      \
    "<EXCLUDE_FILES path=\"D:\\data\" filespec=\"tempdb.*\" recursive=\"no\"/>"                    \
    "<EXCLUDE_FILES_FROM_SNAPSHOT path=\"D:\\cache\" filespec=\"*\" recursive=\"yes\"/>"           \
    "</BACKUP_LOCATIONS>" METADATA_CLOSE

/* With everything that is in our own namespace. */
#define OWN_METADATA                                                                               \
    METADATA_OWN_OPEN                                                                              \
    "><IDENTIFICATION writerId=\"" BOOT_WRITER_ID "\" instanceId=\"" BOOT_INSTANCE_ID              \
    "\" friendlyName=\"Own writer\" usage=\"OTHER\" dataSource=\"OTHER\"/>"                        \
    "<RESTORE_METHOD method=\"STOP_RESTORE_START\" writerRestore=\"ifReplaceFails\""               \
    " rebootRequired=\"yes\" ls:service=\"own.service\" ls:userProcedure=\"see the manual\">"      \
    "<ls:ALTERNATE_LOCATION path=\"/srv/data\" filespec=\"*\" recursive=\"yes\""                   \
    " alternatePath=\"/srv/alternate\"/></RESTORE_METHOD><BACKUP_LOCATIONS>"                       \
    "<ls:DATABASE componentName=\"main\" selectable=\"yes\" icon=\"89504e47\">"                    \
    "<ls:DATABASE_FILE path=\"/srv/data\" filespec=\"main.db\" filespecBackupType=\"257\"/>"       \
    "<ls:LOG_FILE path=\"/srv/wal\" filespec=\"*.wal\"/>"                                          \
    "<ls:LOG_FILE path=\"/srv/wal2\" filespec=\"*.wal\"/>"                                         \
    "<ls:DEPENDENCY writerId=\"" DB_WRITER_ID "\" logicalPath=\"SRV\\one\""                        \
    " componentName=\"master\"/></ls:DATABASE>"                                                    \
    "<FILE_GROUP componentName=\"files\" ls:icon=\"0001\"><FILE_LIST path=\"/srv/files\""          \
    " filespec=\"*\" recursive=\"yes\" ls:alternatePath=\"/srv/here\"/></FILE_GROUP>"              \
    "</BACKUP_LOCATIONS>" METADATA_CLOSE

#endif
