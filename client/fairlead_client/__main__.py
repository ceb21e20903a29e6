"""`python -m fairlead_client`: the `fairlead` command where it is not on the PATH."""

from fairlead_client.main import main

main(prog_name="fairlead")
