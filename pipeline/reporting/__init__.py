"""What was run and what it shows.

`findings` reads the results and makes the tables (`tables/`); `drawings` makes every figure (`figures/`); `contents`
puts both into sections, `lineage` and `reproduce` add where each row came from; `page/` writes it as one self-contained
page, as Markdown, and on the terminal. `figures/` also draws for `calico view` and `calico corruptions`.
"""
