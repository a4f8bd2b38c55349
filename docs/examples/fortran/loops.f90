! SPDX-License-Identifier: Apache-2.0
!
! y = a x + y and the inner product of two vectors, on all cores, each compared with the serial loop.
module vectors
  use, intrinsic :: iso_c_binding
  implicit none

  type :: pair
     real(c_double) :: a
     real(c_double), allocatable :: x(:), y(:)
  end type pair

contains

  subroutine axpy(first, last, data)
    integer(c_int64_t), intent(in) :: first, last
    class(*), intent(inout) :: data

    select type (data)
    type is (pair)
       data%y(first:last) = data%a * data%x(first:last) + data%y(first:last)
    end select
  end subroutine axpy

  function inner(first, last, data) result(part)
    integer(c_int64_t), intent(in) :: first, last
    class(*), intent(inout) :: data
    real(c_double) :: part

    part = 0
    select type (data)
    type is (pair)
       part = dot_product(data%x(first:last), data%y(first:last))
    end select
  end function inner
end module vectors

program loops
  use filch
  use vectors
  implicit none
  integer(c_int64_t), parameter :: n = 1000000
  integer(c_int64_t) :: i
  integer(c_int) :: error
  type(pair) :: v
  real(c_double) :: sum, again

  v%a = 2
  allocate (v%x(n), v%y(n))
  ! small whole numbers: every order of adding them has the same sum
  do i = 1, n
     v%x(i) = mod(i, 7_c_int64_t)
     v%y(i) = mod(i, 5_c_int64_t)
  end do
  call filch_do(1_c_int64_t, n, axpy, v, error)
  if (error /= 0) stop 1
  do i = 1, n
     if (v%y(i) /= 2 * mod(i, 7_c_int64_t) + mod(i, 5_c_int64_t)) stop 2
  end do
  call filch_sum(1_c_int64_t, n, inner, v, sum, error)
  if (error /= 0 .or. sum /= dot_product(v%x, v%y)) stop 3

  ! with a grain the bits are those of each other run
  do i = 1, n
     v%x(i) = 1 / real(i, c_double)
  end do
  call filch_sum(1_c_int64_t, n, inner, v, sum, error, grain = 1000_c_int64_t)
  call filch_sum(1_c_int64_t, n, inner, v, again, error, grain = 1000_c_int64_t)
  if (error /= 0 .or. sum /= again) stop 4
  ! a part of an array, and nothing at all
  call filch_do(n - 9, n, axpy, v, error)
  if (error /= 0) stop 5
  call filch_do(1_c_int64_t, 0_c_int64_t, axpy, v, error)
  if (error /= 0) stop 6
  print '(a, i0, a)', 'filch works from Fortran, on ', filch_workers(), ' workers'
end program loops
