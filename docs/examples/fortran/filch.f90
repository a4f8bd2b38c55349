! SPDX-License-Identifier: Apache-2.0
!
! filch's loops from Fortran: a body is called for ranges, first to last, of an array that it finds in
! its data. The data is of any type; a body that selects the type has it. Bodies run on several
! threads at once, so compile them with -frecursive: gfortran would put large local arrays where
! all calls share them.
!
! A module for a program of your own, to be copied.
module filch
  use, intrinsic :: iso_c_binding
  implicit none
  private
  public :: filch_do, filch_sum, filch_workers

  abstract interface
     subroutine filch_body(first, last, data)
       import :: c_int64_t
       integer(c_int64_t), intent(in) :: first, last
       class(*), intent(inout) :: data
     end subroutine filch_body

     ! what the items first to last come to
     function filch_part(first, last, data) result(part)
       import :: c_int64_t, c_double
       integer(c_int64_t), intent(in) :: first, last
       class(*), intent(inout) :: data
       real(c_double) :: part
     end function filch_part
  end interface

  ! what goes through C, by its address
  type :: loop
     integer(c_int64_t) :: first
     procedure(filch_body), pointer, nopass :: body => null()
     procedure(filch_part), pointer, nopass :: part => null()
     class(*), pointer :: data => null()
  end type loop

  interface
     function filch_for(pool, begin, end, grain, body, arg) bind(c) result(error)
       import :: c_int, c_size_t, c_ptr, c_funptr
       type(c_ptr), value :: pool, arg
       integer(c_size_t), value :: begin, end, grain
       type(c_funptr), value :: body
       integer(c_int) :: error
     end function filch_for

     function filch_reduce(pool, begin, end, grain, size, identity, body, join, arg, result) bind(c) &
          result(error)
       import :: c_int, c_size_t, c_ptr, c_funptr, c_double
       type(c_ptr), value :: pool, arg
       integer(c_size_t), value :: begin, end, grain, size
       real(c_double), intent(in) :: identity
       type(c_funptr), value :: body, join
       real(c_double), intent(out) :: result
       integer(c_int) :: error
     end function filch_reduce

     function filch_pool_workers(pool) bind(c) result(workers)
       import :: c_int, c_ptr
       type(c_ptr), value :: pool
       integer(c_int) :: workers
     end function filch_pool_workers
  end interface

contains

  ! body(first, last, data) for ranges that cover first to last. On the default pool; from a body it
  ! is nested work. grain: so many items at most in one call; without it the loop finds out. error:
  ! 0, or a negative errno.
  subroutine filch_do(first, last, body, data, error, grain)
    integer(c_int64_t), intent(in) :: first, last
    procedure(filch_body) :: body
    class(*), intent(inout), target :: data
    integer(c_int), intent(out) :: error
    integer(c_int64_t), intent(in), optional :: grain
    type(loop), target :: around

    around%first = first
    around%body => body
    around%data => data
    error = filch_for(c_null_ptr, 0_c_size_t, count_of(first, last), grain_of(grain), c_funloc(call_body), &
         c_loc(around))
  end subroutine filch_do

  ! The sum of part(first, last, data) over ranges that cover first to last. With a grain the result
  ! has the same bits on any number of workers.
  subroutine filch_sum(first, last, part, data, sum, error, grain)
    integer(c_int64_t), intent(in) :: first, last
    procedure(filch_part) :: part
    class(*), intent(inout), target :: data
    real(c_double), intent(out) :: sum
    integer(c_int), intent(out) :: error
    integer(c_int64_t), intent(in), optional :: grain
    type(loop), target :: around

    around%first = first
    around%part => part
    around%data => data
    error = filch_reduce(c_null_ptr, 0_c_size_t, count_of(first, last), grain_of(grain), c_sizeof(sum), 0.0_c_double, &
         c_funloc(call_part), c_funloc(add), c_loc(around), sum)
  end subroutine filch_sum

  integer(c_int) function filch_workers()
    filch_workers = filch_pool_workers(c_null_ptr)
  end function filch_workers

  pure integer(c_size_t) function count_of(first, last)
    integer(c_int64_t), intent(in) :: first, last

    count_of = max(0_c_int64_t, last - first + 1)
  end function count_of

  pure integer(c_size_t) function grain_of(grain)
    integer(c_int64_t), intent(in), optional :: grain

    grain_of = 0
    if (present(grain)) grain_of = grain
  end function grain_of

  ! [begin, end) of C, counted from 0, is first + begin to first + end - 1 here
  subroutine call_body(begin, end, arg) bind(c)
    integer(c_size_t), value :: begin, end
    type(c_ptr), value :: arg
    type(loop), pointer :: around

    call c_f_pointer(arg, around)
    call around%body(around%first + begin, around%first + end - 1, around%data)
  end subroutine call_body

  subroutine call_part(begin, end, sum, arg) bind(c)
    integer(c_size_t), value :: begin, end
    real(c_double), intent(inout) :: sum
    type(c_ptr), value :: arg
    type(loop), pointer :: around

    call c_f_pointer(arg, around)
    sum = sum + around%part(around%first + begin, around%first + end - 1, around%data)
  end subroutine call_part

  subroutine add(sum, right, arg) bind(c)
    real(c_double), intent(inout) :: sum
    real(c_double), intent(in) :: right
    type(c_ptr), value :: arg

    sum = sum + right
    if (.false.) print *, c_associated(arg)
  end subroutine add
end module filch
