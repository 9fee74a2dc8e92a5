"""The same work done by different means; each module is a program that measures one of them."""
