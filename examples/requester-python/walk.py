#!/usr/bin/env python3
# SPDX-License-Identifier: CC0-1.0
"""walk.py VOLUME IMAGE: the requester API from Python, through ctypes alone.

Copies VOLUME, finds the copy by a query, saves the document, loads it in a new session, lets IMAGE
(the file behind the volume) be damaged, recovers it, and deletes the copy.
"""
import ctypes
import sys

LIBRARY = ctypes.CDLL("liblunshadow.so.0")
BYTE_P = ctypes.c_char_p
NAS_ROLLBACK_TRANSPORTABLE = 0x19 | 0x20
CTX_ALL = 0xFFFFFFFF
OBJECT_NONE, OBJECT_SNAPSHOT, OBJECT_SET = 1, 3, 2
INFINITE = 0xFFFFFFFF


class Id(ctypes.Structure):
    _fields_ = [("data1", ctypes.c_uint32), ("data2", ctypes.c_uint16), ("data3", ctypes.c_uint16),
                ("data4", ctypes.c_uint8 * 8)]

    def __eq__(self, other):
        return bytes(self) == bytes(other)


class Snapshot(ctypes.Structure):
    _fields_ = [("snapshot_id", Id), ("set_id", Id), ("count", ctypes.c_int32), ("device", BYTE_P),
                ("original", BYTE_P), ("originating_machine", BYTE_P), ("service_machine", BYTE_P),
                ("exposed_name", BYTE_P), ("exposed_path", BYTE_P), ("provider_id", Id),
                ("attributes", ctypes.c_int32), ("created", ctypes.c_int64),
                ("status", ctypes.c_int32)]


class Object(ctypes.Structure):
    # A provider's part of the union is shorter.
    _fields_ = [("type", ctypes.c_int32), ("snapshot", Snapshot)]


def failed(hr):
    return hr < 0


class Session:
    """One vss_backup_components."""

    def __init__(self):
        self.handle = ctypes.c_void_p()
        text = ctypes.c_void_p()
        hr = LIBRARY.vss_create_backup_components(None, ctypes.byref(self.handle), ctypes.byref(text))
        if failed(hr):
            sys.exit("no session: " + ctypes.string_at(text).decode())

    def call(self, method, *arguments):
        """A method that must succeed; ends the program where it does not."""
        hr = getattr(LIBRARY, "vss_backup_components_" + method)(self.handle, *arguments)
        if failed(hr):
            sys.exit(f"{method}: {NAME(hr)}: {TEXT(self.handle).decode()}")
        return hr

    def run(self, method, *arguments):
        """A method whose work is an operation; waits for its end."""
        operation = ctypes.c_void_p()
        self.call(method, *arguments, ctypes.byref(operation))
        status = ctypes.c_int32()
        LIBRARY.vss_async_wait(operation, ctypes.c_uint32(INFINITE))
        LIBRARY.vss_async_query_status(operation, ctypes.byref(status))
        if failed(status.value):
            sys.exit(f"{method}: {NAME(status.value)}")
        LIBRARY.vss_async_release(operation)

    def save(self):
        xml = ctypes.c_void_p()
        self.call("save_as_xml", ctypes.byref(xml))
        text = ctypes.string_at(xml)
        LIBRARY.vss_free_string(xml)
        return text

    def release(self):
        LIBRARY.vss_backup_components_release(self.handle)


def NAME(hr):
    name = LIBRARY.vss_error_name(ctypes.c_int32(hr))
    return name.decode() if name else hex(hr & 0xFFFFFFFF)


TEXT = LIBRARY.vss_backup_components_error_text
TEXT.restype = BYTE_P
TEXT.argtypes = [ctypes.c_void_p]
LIBRARY.vss_error_name.restype = BYTE_P
LIBRARY.vss_free_string.argtypes = [ctypes.c_void_p]
LIBRARY.vss_async_wait.argtypes = [ctypes.c_void_p, ctypes.c_uint32]


def create(volume):
    session, set_id, copy_id = Session(), Id(), Id()
    session.call("initialize_for_backup", None)
    session.call("set_context", ctypes.c_uint32(NAS_ROLLBACK_TRANSPORTABLE))
    session.call("start_snapshot_set", ctypes.byref(set_id))
    session.call("add_to_snapshot_set", volume.encode(), None, ctypes.byref(copy_id))
    session.run("do_snapshot_set")
    xml = session.save()
    session.release()
    return set_id, copy_id, xml


def query(copy_id):
    session, objects, item = Session(), ctypes.c_void_p(), Object()
    fetched, found = ctypes.c_uint32(), None
    session.call("initialize_for_backup", None)
    session.call("set_context", ctypes.c_uint32(CTX_ALL))
    session.call("query", None, OBJECT_NONE, OBJECT_SNAPSHOT, ctypes.byref(objects))
    while LIBRARY.vss_enum_object_next(objects, 1, ctypes.byref(item), ctypes.byref(fetched)) == 0:
        if item.snapshot.snapshot_id == copy_id:
            found = item.snapshot.original.decode()
        LIBRARY.vss_free_object_properties(ctypes.byref(item))
    LIBRARY.vss_enum_object_release(objects)
    session.release()
    return found


def recover(copy_id, xml):
    session = Session()
    session.call("initialize_for_restore", xml)
    assert session.save() == xml, "a document that is loaded and saved is another one"
    session.call("add_snapshot_to_recovery_set", ctypes.byref(copy_id), 0, None)
    session.run("recover_set", 0)
    session.release()


def delete(set_id):
    session, deleted, left = Session(), ctypes.c_int32(), Id()
    session.call("initialize_for_backup", None)
    session.call("set_context", ctypes.c_uint32(CTX_ALL))
    session.call("delete_snapshots", ctypes.byref(set_id), OBJECT_SET, False, ctypes.byref(deleted),
                 ctypes.byref(left))
    session.release()
    return deleted.value


def main():
    volume, image = sys.argv[1:]
    with open(image, "r+b") as disk:
        disk.seek(8 << 20)
        before = disk.read(4096)
    set_id, copy_id, xml = create(volume)
    assert query(copy_id) == volume, "the query does not find the copy"
    with open(image, "r+b") as disk:
        disk.seek(8 << 20)
        disk.write(b"damaged" * 512)
    recover(copy_id, xml)
    with open(image, "rb") as disk:
        disk.seek(8 << 20)
        assert disk.read(4096) == before, "the content did not come back"
    assert delete(set_id) == 1
    print("created, found, saved, loaded, recovered, deleted")


main()
