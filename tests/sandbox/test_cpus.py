"""Programs are spread over the CPUs."""

from auxot_tools.sandbox.cpus import CpuBoard


def test_the_least_loaded_cpu_is_taken_the_first_of_several() -> None:
    board = CpuBoard()
    board.resize(3)
    assert [board.take() for _ in range(4)] == [0, 1, 2, 0]
    board.give_back(1)
    assert board.take() == 1


def test_before_the_engine_was_asked_there_is_one() -> None:
    board = CpuBoard()
    assert [board.take(), board.take()] == [0, 0]
    board.resize(2)
    assert [board.take(), board.take()] == [1, 1]
    board.resize(1)
    assert board.take() == 0
