import os
import subprocess
import sys

import pytest

from scaffold_runtime.run_folder import RunLock, write_whole

ACQUIRE = """
import sys
from scaffold_runtime.run_folder import RunLock
RunLock().acquire(sys.argv[1])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="holds nothing there")
def test_a_folder_is_one_process_s_until_it_lets_go(tmp_path):
    def acquire_elsewhere():
        words = [sys.executable, "-c", ACQUIRE, str(tmp_path)]
        return subprocess.run(words, capture_output=True, text=True).stderr

    lock = RunLock()
    lock.acquire(str(tmp_path))
    lock.acquire(str(tmp_path))  # it has it already
    assert f"{tmp_path} belongs to a run that is going on" in acquire_elsewhere()
    assert f"process {os.getpid()} on" in acquire_elsewhere()
    lock.release()
    assert list(tmp_path.iterdir()) == []
    assert acquire_elsewhere() == ""


def test_without_a_folder_nothing_is_held():
    RunLock().acquire(None)


def test_a_text_file_stands_whole_or_not_at_all(tmp_path):
    path = tmp_path / "run" / "config.yaml"
    write_whole(path, "é: 1\n")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "a: \udc80\n")
    assert path.read_text(encoding="utf-8") == "é: 1\n"
