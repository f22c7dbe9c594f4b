"""`python -m clipself_mm` is the command `clipself-mm`."""

from clipself_mm_command import main

if __name__ == '__main__':
    main()
