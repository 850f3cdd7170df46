echo "from a file: $1"
