# SPDX-License-Identifier: Apache-2.0
# cmake -DFOLDER=directory -DFILES=a,b -DOUT=file.c -P Embed.cmake: the files of a folder as the array
# skeleton_files of cli/skeleton.h.
string(REPLACE "," ";" files "${FILES}")
set(arrays "")
set(rows "")
set(index 0)
foreach(file IN LISTS files)
  file(READ ${FOLDER}/${file} hex HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
  string(APPEND arrays "static const char file_${index}[] = {${bytes}0};\n")
  string(APPEND rows "    {\"${file}\", file_${index}},\n")
  math(EXPR index "${index} + 1")
endforeach()
file(WRITE ${OUT} "#include \"cli/skeleton.h\"\n\n${arrays}\nconst struct skeleton_file skeleton_files[] = {\n${rows}    {0, 0},\n};\n")
