import sys

from unocclude.cli import main

sys.exit(main())
